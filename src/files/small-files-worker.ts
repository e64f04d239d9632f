/**
 * The other side of `small-files.ts`, in a thread of its own: opens, writes and closes one file after the other. Calls
 * that wait cost a fraction of those that come back later, and nobody else waits here.
 */

import { closeSync, constants, fstatSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { errnoOf, messageOf } from '../common/errors.ts'
import { type Metadata, restoreMetadataNow } from './metadata.ts'

/** Contents stand one after the other in `bytes`, in the order of the files. */
export interface WriteRequest {
  files: { path: string; length: number; metadata: Metadata | undefined }[]
  bytes: Uint8Array
}

export type WriteOutcome = { mtimeNs: bigint } | { errno: string | undefined; message: string }

const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants

parentPort?.on('message', ({ files, bytes }: WriteRequest) => {
  let start = 0
  const outcomes = files.map(({ path, length, metadata }) => {
    const content = bytes.subarray(start, start + length)
    start += length
    return writeWhole(path, content, metadata)
  })
  parentPort?.postMessage(outcomes)
})

function writeWhole(path: string, content: Uint8Array, metadata: Metadata | undefined): WriteOutcome {
  try {
    const descriptor = openForWriting(path)
    try {
      for (let done = 0; done < content.byteLength; ) {
        done += writeSync(descriptor, content, done, content.byteLength - done)
      }
      if (metadata !== undefined) restoreMetadataNow(descriptor, metadata)
      return { mtimeNs: fstatSync(descriptor, { bigint: true }).mtimeNs }
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    return { errno: errnoOf(error), message: messageOf(error) }
  }
}

function openForWriting(path: string): number {
  const open = () => openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o666)
  try {
    return open()
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
    // What an earlier run has left may have got its mode already, which forbids writing.
    unlinkSync(path)
    return open()
  }
}
