/**
 * Large buffers that are used again. Left to the garbage collector, a megabyte for every message of a download costs a
 * fifth of its time: such memory outlives the young generation and forces collections of the whole heap.
 *
 * A buffer goes back only when all of it that is in use has been given back; what is never given back is simply
 * collected, so forgetting to is no leak. Giving back what is still in use elsewhere is a bug.
 */

import { KiB, MiB } from './units.ts'

/** Smaller buffers are cheap to make. */
const MIN_BYTES = 512 * KiB
/** One size for all, that a block of 1 MiB and its frame fit into. */
const POOLED_BYTES = MiB + 64 * KiB

export interface BufferPoolOptions {
  /** Memory that other threads can see too. Default false. */
  shared?: boolean
}

export class BufferPool {
  readonly #maxFree: number
  readonly #Memory: typeof ArrayBuffer | typeof SharedArrayBuffer
  readonly #free: ArrayBufferLike[] = []
  /** Bytes that are still out, for buffers of this pool. */
  readonly #bytesOut = new WeakMap<ArrayBufferLike, number>()

  /** @param maxFreeBytes - what may lie idle */
  constructor(maxFreeBytes: number, { shared = false }: BufferPoolOptions = {}) {
    this.#maxFree = Math.floor(maxFreeBytes / POOLED_BYTES)
    this.#Memory = shared ? SharedArrayBuffer : ArrayBuffer
  }

  /** A buffer of this length with anything in it. */
  take(length: number): Uint8Array {
    if (length < MIN_BYTES || length > POOLED_BYTES) return Buffer.allocUnsafe(length)
    const memory = this.#free.pop() ?? new this.#Memory(POOLED_BYTES)
    return Buffer.from(memory, 0, length)
  }

  /** So many of these bytes will be given back by {@link give}, in parts that do not overlap, or never. */
  lend(bytes: Uint8Array, byteCount: number): void {
    if (bytes.buffer.byteLength === POOLED_BYTES) this.#bytesOut.set(bytes.buffer, byteCount)
  }

  /** Somebody goes on looking at this part: its buffer is not used again. */
  keep(part: Uint8Array): void {
    this.#bytesOut.delete(part.buffer)
  }

  /** Nobody looks at this part any more. */
  give(part: Uint8Array): void {
    const memory = part.buffer
    const bytesOut = this.#bytesOut.get(memory)
    if (bytesOut === undefined) return
    if (bytesOut > part.byteLength) {
      this.#bytesOut.set(memory, bytesOut - part.byteLength)
      return
    }
    this.#bytesOut.delete(memory)
    if (this.#free.length < this.#maxFree) this.#free.push(memory)
  }
}
