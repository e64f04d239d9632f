/** What went over bitswap's streams, by peer while it is connected and in all. For people who look; nothing is decided by it. */

import type { Clock } from '../common/clock.ts'
import { RateWindow } from '../common/rate-window.ts'

/** Bytes of messages, with what frames the blocks in them. */
export interface TrafficCounts {
  receivedBytes: number
  sentBytes: number
  /** Over the last seconds. */
  receivedBytesPerSecond: number
  sentBytesPerSecond: number
}

class Counter {
  bytes = 0
  readonly rate = new RateWindow()

  add(bytes: number, nowMs: number): void {
    this.bytes += bytes
    this.rate.add(bytes, nowMs)
  }
}

class Flow {
  readonly received = new Counter()
  readonly sent = new Counter()

  counts(nowMs: number): TrafficCounts {
    return {
      receivedBytes: this.received.bytes,
      sentBytes: this.sent.bytes,
      receivedBytesPerSecond: this.received.rate.bytesPerSecond(nowMs),
      sentBytesPerSecond: this.sent.rate.bytesPerSecond(nowMs),
    }
  }
}

export class Traffic {
  readonly #clock: Clock
  readonly #total = new Flow()
  readonly #peers = new Map<string, Flow>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Counts for a peer by itself from now on, until {@link forget}. */
  follow(peerId: string): void {
    if (!this.#peers.has(peerId)) this.#peers.set(peerId, new Flow())
  }

  received(peerId: string, bytes: number): void {
    const nowMs = this.#clock.monotonicMs()
    this.#total.received.add(bytes, nowMs)
    this.#peers.get(peerId)?.received.add(bytes, nowMs)
  }

  sent(peerId: string, bytes: number): void {
    const nowMs = this.#clock.monotonicMs()
    this.#total.sent.add(bytes, nowMs)
    this.#peers.get(peerId)?.sent.add(bytes, nowMs)
  }

  /** Of one peer, since it is followed. */
  of(peerId: string): TrafficCounts {
    return (this.#peers.get(peerId) ?? new Flow()).counts(this.#clock.monotonicMs())
  }

  /** Of all peers, since the node started. */
  total(): TrafficCounts {
    return this.#total.counts(this.#clock.monotonicMs())
  }

  /** What is still on its way from or to the peer counts in the total alone. */
  forget(peerId: string): void {
    this.#peers.delete(peerId)
  }
}
