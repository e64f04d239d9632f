/**
 * Hashes the leaves of an import: large ones in threads of their own, so that reading and storing go on meanwhile, and in
 * this one what these cannot keep up with, so that no core idles. Only what lies in shared memory goes to a thread, since
 * copying a block costs a good part of hashing it. Used by `unixfs/node-writer.ts`.
 */

import { availableParallelism } from 'node:os'
import { Thread } from '../common/thread.ts'
import { KiB } from '../common/units.ts'
import { digestOf } from './block.ts'

/** Smaller blocks are hashed in the time that asking another thread takes. */
const MIN_BYTES = 128 * KiB
/** Starting a thread takes as long as hashing some tens of megabytes: each is worth it after so many blocks more. */
const BLOCKS_PER_THREAD = 16
/** Besides this one, which reads and stores; more would hash faster than it does that. */
const MAX_THREADS = Math.min(Math.max(availableParallelism() - 1, 1), 3)
/** Asked of one thread at a time: it has the next while an answer is on its way. */
const ASKED_AT_ONCE = 3

/** Bytes in memory that both threads see. */
export interface HashRequest {
  hashCode: number
  memory: SharedArrayBuffer
  byteOffset: number
  byteLength: number
}

export class LeafHasher {
  readonly #threads: Thread<HashRequest, Uint8Array>[] = []
  #largeBlocks = 0
  #isClosed = false

  /** The usual digest of the bytes, which must not change before it is there. @param hashCode - one that is accepted */
  async digest(hashCode: number, bytes: Uint8Array): Promise<Uint8Array> {
    const { buffer, byteOffset, byteLength } = bytes
    const here = () => digestOf(hashCode, bytes)!
    if (!(buffer instanceof SharedArrayBuffer) || byteLength < MIN_BYTES || this.#isClosed) return here()
    this.#largeBlocks++
    const thread = this.#freeThread()
    if (thread === undefined) return here()
    // Why the thread has ended does not matter: the same is done here.
    return await thread.ask({ hashCode, memory: buffer, byteOffset, byteLength }).catch(here)
  }

  /** Ends the threads; what is still asked for is hashed here. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all(this.#threads.map((thread) => thread.close()))
  }

  /** One that can be asked for more, started if it is time. */
  #freeThread(): Thread<HashRequest, Uint8Array> | undefined {
    const free = this.#threads.find(({ waiting }) => waiting < ASKED_AT_ONCE)
    const isWorthStarting = this.#largeBlocks >= BLOCKS_PER_THREAD * (this.#threads.length + 1)
    if (free !== undefined || this.#threads.length === MAX_THREADS || !isWorthStarting) return free
    const thread = new Thread<HashRequest, Uint8Array>(new URL('./hash-worker.js', import.meta.url))
    this.#threads.push(thread)
    return thread
  }
}
