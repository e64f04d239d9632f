/** When a peer was last heard of, and whether its silence means that it has stalled: pure, used by the session plan. */

import { SECOND_MS } from '../../common/units.ts'
import type { PeerPace } from './peer-pace.ts'

/** A peer that was asked and sends nothing for so long, or for four round trips or blocks of its, is stalled. */
const STALL_MIN_MS = 2.5 * SECOND_MS
const STALL_MAX_MS = 10 * SECOND_MS
/** 100 kbit/s, as boxo demands of a peer that it sends to; slower is as good as silent. */
const MIN_BYTES_PER_SECOND = 12_500

export class PeerPulse {
  #lastHeardAt: number
  /** Bytes since then that were too few to count as life. */
  #trickledBytes = 0

  constructor(now: number) {
    this.#lastHeardAt = now
  }

  /** The peer has said something, or silence counts from now on. */
  beat(now: number): void {
    this.#lastHeardAt = now
  }

  /** Bytes from the peer: a sign of life unless they only trickle. */
  heard(bytes: number, now: number): void {
    this.#trickledBytes += bytes
    if (this.#trickledBytes < (this.silentMs(now) * MIN_BYTES_PER_SECOND) / SECOND_MS) return
    this.#trickledBytes = 0
    this.#lastHeardAt = now
  }

  silentMs(now: number): number {
    return now - this.#lastHeardAt
  }

  /** Whether a peer of this pace would have sent something by now. */
  isStalled({ rttMs, blockMs }: PeerPace, now: number): boolean {
    const patienceMs = Math.min(STALL_MAX_MS, Math.max(STALL_MIN_MS, 4 * rttMs, 4 * blockMs))
    return this.silentMs(now) >= patienceMs
  }
}
