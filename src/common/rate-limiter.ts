/** Holds what passes to a rate, whoever it is that sends or receives: a token bucket and the waiting for it. */

import { sleep } from './abort.ts'
import { BusyTime } from './busy-time.ts'
import type { Clock } from './clock.ts'
import { TokenBucket } from './token-bucket.ts'
import { KiB, SECOND_MS } from './units.ts'

/** What may pass at once: more than the lateness of timers, less than anyone notices. */
const BURST_MS = 100
/** What passes in one go; what is larger is cut, so that nobody waits behind a whole message. */
export const LIMITED_PIECE_BYTES = 16 * KiB

export class RateLimiter {
  readonly #clock: Clock
  readonly #bucket: TokenBucket
  readonly #waiting = new BusyTime()

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#clock = clock
    const burstBytes = (bytesPerSecond * BURST_MS) / SECOND_MS
    this.#bucket = new TokenBucket({ bytesPerSecond, burstBytes, nowMs: clock.monotonicMs() })
  }

  /** Resolves when so many bytes may pass; calls get their turn in their order. */
  async pass(bytes: number): Promise<void> {
    const askedAtMs = this.#clock.monotonicMs()
    const waitMs = this.#bucket.take(bytes, askedAtMs)
    if (waitMs === 0) return
    this.#waiting.begin(askedAtMs)
    // A timer may fire a little early.
    for (let leftMs = waitMs; leftMs > 0; leftMs = askedAtMs + waitMs - this.#clock.monotonicMs()) {
      await sleep(Math.ceil(leftMs))
    }
    this.#waiting.end(this.#clock.monotonicMs())
  }

  /** Milliseconds so far in which somebody had to wait. */
  waitedMs(): number {
    return this.#waiting.totalMs(this.#clock.monotonicMs())
  }
}
