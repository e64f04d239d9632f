/** How fast something has come lately: bytes by the second, over the last few. Pure. */

import { SECOND_MS } from './units.ts'

/** Seconds that are looked back on: shorter ones jump, longer ones lag behind. */
const WINDOW_SECONDS = 5

export class RateWindow {
  /** Bytes of a second, at its number modulo the length; the last place is that of the current second. */
  readonly #bytes = new Array<number>(WINDOW_SECONDS + 1).fill(0)
  #second = 0

  /** @param nowMs - milliseconds of a clock that only goes forward, here and below */
  add(bytes: number, nowMs: number): void {
    this.#moveTo(nowMs)
    this.#bytes[this.#second % this.#bytes.length]! += bytes
  }

  /** Bytes a second, over the seconds that are complete. */
  bytesPerSecond(nowMs: number): number {
    this.#moveTo(nowMs)
    const current = this.#bytes[this.#second % this.#bytes.length]!
    return (this.#bytes.reduce((sum, bytes) => sum + bytes, 0) - current) / WINDOW_SECONDS
  }

  #moveTo(nowMs: number): void {
    const second = Math.floor(nowMs / SECOND_MS)
    const passed = Math.min(second - this.#second, this.#bytes.length)
    for (let step = 0; step < passed; step++) this.#bytes[(second - step) % this.#bytes.length] = 0
    this.#second = second
  }
}
