/** The other side of `tree-reader.ts`, in a thread of its own. */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort } from 'node:worker_threads'
import { errnoOf, messageOf } from '../common/errors.ts'
import { type Failed, type Looked, type LookOptions, lookNow, readingFlags } from './tree.ts'

export type TreeRequest =
  | { kind: 'look'; folder: string; names: string[]; options: LookOptions }
  | { kind: 'read'; paths: string[]; maxBytes: number; followLinks: boolean }

/** A file as it was before it was read and after. */
export interface ReadFile {
  /** Where its content is in the answer. */
  offset: number
  size: number
  mtimeNs: bigint
}

/** `large`: it has more than `maxBytes`. `changed`: it was written to, or is no file any more. */
export type ReadOutcome = ReadFile | 'large' | 'changed' | Failed

export type TreeAnswer =
  | { kind: 'look'; looked: Looked[] }
  | { kind: 'read'; outcomes: ReadOutcome[]; content: Uint8Array }

const FIRST_BYTES = 64 * 1024

parentPort?.on('message', (request: TreeRequest) => {
  if (request.kind === 'look') {
    const { folder, names, options } = request
    const looked = names.map((name) => attempt((): Looked => lookNow(join(folder, name), name, options)))
    parentPort?.postMessage({ kind: 'look', looked } satisfies TreeAnswer)
    return
  }
  const contents = new Contents()
  const outcomes = request.paths.map((path) => attempt(() => readWhole(path, contents, request)))
  const content = contents.all()
  parentPort?.postMessage({ kind: 'read', outcomes, content } satisfies TreeAnswer, [content.buffer as ArrayBuffer])
})

/** One after the other, in memory that grows. */
class Contents {
  #bytes = new Uint8Array(FIRST_BYTES)
  length = 0

  /** Memory for so many bytes after the last. */
  room(byteCount: number): Uint8Array {
    if (this.#bytes.byteLength < this.length + byteCount) {
      const larger = new Uint8Array(2 * (this.length + byteCount))
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    return this.#bytes.subarray(this.length, this.length + byteCount)
  }

  all(): Uint8Array {
    return this.#bytes.subarray(0, this.length)
  }
}

function readWhole(
  path: string,
  contents: Contents,
  { maxBytes, followLinks }: Extract<TreeRequest, { kind: 'read' }>,
): ReadOutcome {
  const descriptor = openSync(path, readingFlags(followLinks))
  try {
    const before = fstatSync(descriptor, { bigint: true })
    if (!before.isFile()) return 'changed'
    const { size, mtimeNs } = before
    if (size > maxBytes) return 'large'
    const length = Number(size)
    // One byte more than there should be, so that growth is seen.
    const room = contents.room(length + 1)
    let done = 0
    for (let read = -1; read !== 0 && done <= length; done += read) {
      read = readSync(descriptor, room, done, length + 1 - done, null)
    }
    const after = fstatSync(descriptor, { bigint: true })
    if (done !== length || after.size !== size || after.mtimeNs !== mtimeNs) return 'changed'
    const offset = contents.length
    contents.length += length
    return { offset, size: length, mtimeNs }
  } finally {
    closeSync(descriptor)
  }
}

function attempt<T>(work: () => T): T | Failed {
  try {
    return work()
  } catch (error) {
    return { errno: errnoOf(error), message: messageOf(error) }
  }
}
