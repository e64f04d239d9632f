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

  received(peerId: string, bytes: number): void {
    const nowMs = this.#clock.monotonicMs()
    this.#total.received.add(bytes, nowMs)
    this.#flowOf(peerId).received.add(bytes, nowMs)
  }

  sent(peerId: string, bytes: number): void {
    const nowMs = this.#clock.monotonicMs()
    this.#total.sent.add(bytes, nowMs)
    this.#flowOf(peerId).sent.add(bytes, nowMs)
  }

  /** Of one peer, since it is connected. */
  of(peerId: string): TrafficCounts {
    return (this.#peers.get(peerId) ?? new Flow()).counts(this.#clock.monotonicMs())
  }

  /** Of all peers, since the node started. */
  total(): TrafficCounts {
    return this.#total.counts(this.#clock.monotonicMs())
  }

  forget(peerId: string): void {
    this.#peers.delete(peerId)
  }

  #flowOf(peerId: string): Flow {
    let flow = this.#peers.get(peerId)
    if (flow === undefined) {
      flow = new Flow()
      this.#peers.set(peerId, flow)
    }
    return flow
  }
}
