/**
 * Writes files that are small and whole, many in one go: the work per file is a few system calls in a thread beside
 * this one. Used by `output.ts`.
 */

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { Batcher } from '../common/batcher.ts'
import { localIoError } from '../common/errors.ts'
import { KiB } from '../common/units.ts'
import type { WriteOutcome, WriteRequest } from './small-files-worker.ts'

/** Larger files are not worth the copy into another thread. */
export const MAX_SMALL_FILE_BYTES = 256 * KiB

export interface SmallFile {
  path: string
  content: Uint8Array
}

export class SmallFiles {
  readonly #writes = new Batcher((files: SmallFile[]) => this.#writeAll(files))
  #worker: Worker | undefined

  /**
   * Makes the file, or replaces what is in it; a link in its place is not followed. Not synced.
   *
   * @returns its modification time in nanoseconds
   * @throws P2PError `io`, `disk-full`
   */
  async write(file: SmallFile): Promise<bigint> {
    const outcome = await this.#writes.add(file)
    if ('mtimeNs' in outcome) return outcome.mtimeNs
    throw localIoError(Object.assign(new Error(outcome.message), { code: outcome.errno }), 'write', file.path)
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#writes.idle()
    await this.#worker?.terminate()
    this.#worker = undefined
  }

  async #writeAll(files: SmallFile[]): Promise<WriteOutcome[]> {
    this.#worker ??= new Worker(new URL('./small-files-worker.js', import.meta.url))
    const request: WriteRequest = { files: [], bytes: new Uint8Array(files.reduce(sumOfLengths, 0)) }
    let start = 0
    for (const { path, content } of files) {
      request.files.push({ path, length: content.byteLength })
      request.bytes.set(content, start)
      start += content.byteLength
    }
    const answer = once(this.#worker, 'message')
    this.#worker.postMessage(request, [request.bytes.buffer as ArrayBuffer])
    const [outcomes] = (await answer) as [WriteOutcome[]]
    return outcomes
  }
}

function sumOfLengths(sum: number, { content }: SmallFile): number {
  return sum + content.byteLength
}
