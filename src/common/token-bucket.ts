/**
 * A token bucket: how much may pass, and when, at a steady rate. Pure: time is an argument; `rate-limiter.ts` waits.
 *
 * What is taken is taken at once and may leave the bucket in debt, so whoever comes later waits behind it. Hence over any
 * span of time no more passes than the rate times the span, and one burst.
 */

import { SECOND_MS } from './units.ts'

export interface TokenBucketOptions {
  bytesPerSecond: number
  /** What may pass at once after a pause. The bucket starts with it. */
  burstBytes: number
  /** Milliseconds of a clock that only goes forward, here and in every method. */
  nowMs: number
}

export class TokenBucket {
  readonly #bytesPerSecond: number
  readonly #burstBytes: number
  /** Negative: a debt. */
  #bytes: number
  #countedAtMs: number

  constructor({ bytesPerSecond, burstBytes, nowMs }: TokenBucketOptions) {
    this.#bytesPerSecond = bytesPerSecond
    this.#burstBytes = burstBytes
    this.#bytes = burstBytes
    this.#countedAtMs = nowMs
  }

  /** Takes so many bytes out. @returns how many milliseconds from now they may pass, 0 for at once */
  take(bytes: number, nowMs: number): number {
    const earned = ((nowMs - this.#countedAtMs) / SECOND_MS) * this.#bytesPerSecond
    this.#bytes = Math.min(this.#burstBytes, this.#bytes + earned) - bytes
    this.#countedAtMs = nowMs
    return this.#bytes >= 0 ? 0 : (-this.#bytes / this.#bytesPerSecond) * SECOND_MS
  }
}
