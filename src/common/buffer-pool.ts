/**
 * Large buffers that are used again. Left to the garbage collector, a megabyte for every message of a download costs a
 * fifth of its time: such memory outlives the young generation and forces collections of the whole heap.
 *
 * A buffer goes back only when all that was cut from it has been given back; what is never given back is simply
 * collected, so forgetting to is no leak. Giving back what is still in use elsewhere is a bug.
 */

import { KiB, MiB } from './units.ts'

/** Smaller buffers are cheap to make. */
const MIN_BYTES = 512 * KiB
/** One size for all, that a block of 1 MiB and its frame fit into. */
const POOLED_BYTES = MiB + 64 * KiB

export class BufferPool {
  readonly #maxFree: number
  readonly #free: ArrayBuffer[] = []
  /** Parts that are still out, for buffers of this pool. */
  readonly #partsOut = new WeakMap<ArrayBufferLike, number>()

  /** @param maxFreeBytes - what may lie idle */
  constructor(maxFreeBytes: number) {
    this.#maxFree = Math.floor(maxFreeBytes / POOLED_BYTES)
  }

  /** A buffer of this length with anything in it. */
  take(length: number): Uint8Array {
    if (length < MIN_BYTES || length > POOLED_BYTES) return Buffer.allocUnsafe(length)
    const memory = this.#free.pop() ?? new ArrayBuffer(POOLED_BYTES)
    return Buffer.from(memory, 0, length)
  }

  /** The buffer was cut into so many parts, each of which will be given back by {@link give}, or never. */
  split(bytes: Uint8Array, parts: number): void {
    if (bytes.buffer.byteLength === POOLED_BYTES) this.#partsOut.set(bytes.buffer, parts)
  }

  /** Somebody goes on looking at this part: its buffer is not used again. */
  keep(part: Uint8Array): void {
    this.#partsOut.delete(part.buffer)
  }

  /** Nobody looks at this part any more. */
  give(part: Uint8Array): void {
    const memory = part.buffer
    const partsOut = this.#partsOut.get(memory)
    if (partsOut === undefined) return
    if (partsOut > 1) {
      this.#partsOut.set(memory, partsOut - 1)
      return
    }
    this.#partsOut.delete(memory)
    if (this.#free.length < this.#maxFree) this.#free.push(memory as ArrayBuffer)
  }
}
