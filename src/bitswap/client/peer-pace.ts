/**
 * How fast one peer delivers, and so how much may be outstanding with it: pure, told of deliveries by the session plan.
 */

import { MiB, SECOND_MS } from '../../common/units.ts'

const MAX_OUTSTANDING_BYTES = 16 * MiB
/** How much of its rate a peer may have outstanding, on top of its round trip. */
const DEPTH_MS = SECOND_MS
/** For so long of being busy a peer's depth grows by a block a delivery; then its rate is known well enough. */
const SLOW_START_MS = SECOND_MS
const INITIAL_RTT_MS = 50
/** Older deliveries count half as much after so long a time of being busy. */
const RATE_HALF_LIFE_MS = 2 * SECOND_MS

export class PeerPace {
  rttMs = INITIAL_RTT_MS
  outstandingBytes = 0
  deliveredBlocks = 0
  lastDeliveryAt: number
  /** Sums that fade with {@link RATE_HALF_LIFE_MS}: what arrived, and how long the peer was busy with it. */
  #fadingBytes = 0
  #fadingMs = 0
  #fadingBlocks = 0
  #slowStartBytes = 0

  constructor(now: number) {
    this.lastDeliveryAt = now
  }

  /** Bytes a second lately delivered while something was asked for; undefined before the first delivery. */
  get measuredRate(): number | undefined {
    return this.#fadingMs === 0 ? undefined : Math.max(1, (this.#fadingBytes / this.#fadingMs) * SECOND_MS)
  }

  /** Milliseconds from one block to the next, lately; 0 before the first delivery. */
  get blockMs(): number {
    return this.#fadingBlocks === 0 ? 0 : this.#fadingMs / this.#fadingBlocks
  }

  /** A block that was asked for at `askedAt` has come. */
  delivered(bytes: number, askedAt: number, now: number): void {
    const busyMs = Math.max(0.01, now - Math.max(askedAt, this.lastDeliveryAt))
    const keep = 2 ** (-busyMs / RATE_HALF_LIFE_MS)
    this.#fadingBytes = this.#fadingBytes * keep + bytes
    this.#fadingMs = this.#fadingMs * keep + busyMs
    this.#fadingBlocks = this.#fadingBlocks * keep + 1
    this.lastDeliveryAt = now
    this.deliveredBlocks++
    this.#slowStartBytes = Math.min(
      MAX_OUTSTANDING_BYTES,
      Math.max(this.#slowStartBytes, this.outstandingBytes) + bytes,
    )
  }

  /** How many bytes may be outstanding by what has been measured; none before the first delivery. */
  depthBytes(): number {
    const byRate = ((this.measuredRate ?? 0) * (DEPTH_MS + this.rttMs)) / SECOND_MS
    const isStarting = this.#fadingMs < SLOW_START_MS
    return Math.min(MAX_OUTSTANDING_BYTES, isStarting ? Math.max(this.#slowStartBytes, byRate) : byRate)
  }

  /** When so many bytes more would be here, from now. @param rate - bytes a second that the peer is taken to deliver */
  deliveryMs(bytes: number, rate: number): number {
    return ((this.outstandingBytes + bytes) / rate) * SECOND_MS + this.rttMs
  }
}
