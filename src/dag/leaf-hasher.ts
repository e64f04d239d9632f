/**
 * Hashes the leaves of an import: large ones in a thread of their own, so that reading and storing go on meanwhile.
 * Only what lies in shared memory goes there, since copying a block costs a good part of hashing it. Used by
 * `unixfs/node-writer.ts`.
 */

import { Thread } from '../common/thread.ts'
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

export class LeafHasher {
  readonly #thread = new Thread<HashRequest, Uint8Array>(new URL('./hash-worker.js', import.meta.url))
  #largeBlocks = 0
  #isClosed = false

  /** The usual digest of the bytes, which must not change before it is there. @param hashCode - one that is accepted */
  async digest(hashCode: number, bytes: Uint8Array): Promise<Uint8Array> {
    const { buffer, byteOffset, byteLength } = bytes
    const here = () => digestOf(hashCode, bytes)!
    if (!(buffer instanceof SharedArrayBuffer) || byteLength < MIN_BYTES || this.#isClosed) return here()
    if (++this.#largeBlocks < BLOCKS_WITHOUT_THREAD) return here()
    // Why the thread has ended does not matter: the same is done here.
    return await this.#thread.ask({ hashCode, memory: buffer, byteOffset, byteLength }).catch(here)
  }

  /** Ends the thread; what is still asked for is hashed here. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#thread.close()
  }
}
