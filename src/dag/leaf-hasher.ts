/**
 * Hashes the leaves of an import: large ones in a thread of their own, so that reading and storing go on meanwhile.
 * Only what lies in shared memory goes there, since copying a block costs a good part of hashing it. Used by
 * `unixfs/node-writer.ts`.
 */

import { Worker } from 'node:worker_threads'
import { KiB } from '../common/units.ts'
import { digestOf } from './block.ts'

/** Smaller blocks are hashed in the time that asking another thread takes. */
const MIN_BYTES = 128 * KiB
/** Starting a thread takes as long as hashing some tens of megabytes: few blocks are not worth it. */
const BLOCKS_WITHOUT_THREAD = 16

/** Bytes in memory that both threads see. */
export interface HashRequest {
  hashCode: number
  memory: SharedArrayBuffer
  byteOffset: number
  byteLength: number
}

interface Waiting {
  request: HashRequest
  resolve: (digest: Uint8Array) => void
}

export class LeafHasher {
  #worker: Worker | undefined
  #isUp = false
  #largeBlocks = 0
  /** In the order in which they were sent, which is that of the answers. */
  readonly #waiting: Waiting[] = []

  /** The usual digest of the bytes, which must not change before it is there. @param hashCode - one that is accepted */
  async digest(hashCode: number, bytes: Uint8Array): Promise<Uint8Array> {
    const { buffer, byteOffset, byteLength } = bytes
    if (!(buffer instanceof SharedArrayBuffer) || byteLength < MIN_BYTES) return digestOf(hashCode, bytes)!
    if (++this.#largeBlocks === BLOCKS_WITHOUT_THREAD) this.#start()
    if (!this.#isUp) return digestOf(hashCode, bytes)!
    return await new Promise((resolve) => {
      const request = { hashCode, memory: buffer, byteOffset, byteLength }
      this.#waiting.push({ request, resolve })
      this.#worker!.postMessage(request)
    })
  }

  /** Ends the thread; what is still asked for is hashed here. */
  async close(): Promise<void> {
    await this.#worker?.terminate()
  }

  #start(): void {
    const worker = new Worker(new URL('./hash-worker.js', import.meta.url))
    this.#worker = worker
    worker.on('online', () => {
      this.#isUp = true
    })
    worker.on('message', (digest: Uint8Array) => this.#waiting.shift()?.resolve(digest))
    // Why it ended does not matter: the same is done here.
    worker.on('error', () => {})
    worker.on('exit', () => {
      this.#isUp = false
      for (const { request, resolve } of this.#waiting.splice(0)) resolve(digestRequested(request))
    })
  }
}

/** What a request asks for. */
export function digestRequested({ hashCode, memory, byteOffset, byteLength }: HashRequest): Uint8Array {
  return digestOf(hashCode, new Uint8Array(memory, byteOffset, byteLength))!
}
