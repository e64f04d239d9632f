/**
 * The end of a download: what an idle peer may take over from one that is slower. Pure, called by the session plan when
 * every want is assigned.
 */

import { MiB, SECOND_MS } from '../../common/units.ts'
import type { PlanPeer, Want } from './plan-records.ts'

/** An idle peer takes over a block only if it would deliver it in this part of the time the holder needs. */
const TAKEOVER_ADVANTAGE = 0.5
/** What a server may have on its way already, so that a cancel comes too late for it: as much as ours. */
const SENT_AHEAD_BYTES = 2 * MiB

export interface Takeover {
  want: Want
  holder: PlanPeer
  /** Until the holder delivers it. */
  ms: number
  /** The holder has not begun to send it. */
  queued: boolean
}

export interface TakeoverContext {
  holders: Iterable<PlanPeer>
  /** Bytes a second that a peer is taken to deliver. */
  rateOf: (peer: PlanPeer) => number
  /** Whether the taker may be asked for it. */
  mayTake: (want: Want) => boolean
  now: number
}

/** The want that its only holder will deliver last, if the taker would be clearly sooner. */
export function findTakeover(taker: PlanPeer, context: TakeoverContext): Takeover | undefined {
  const { holders, rateOf, mayTake, now } = context
  const takerRate = rateOf(taker)
  let slowest: Takeover | undefined
  for (const holder of holders) {
    if (holder === taker) continue
    const rate = rateOf(holder)
    const sinceDeliveryMs = now - holder.pace.lastDeliveryAt
    let aheadBytes = 0
    for (const want of holder.asked.values()) {
      aheadBytes += want.bytes
      if (want.holders.size > 1 || !mayTake(want)) continue
      // Overdue by so much is taken to need as much again.
      const ms = Math.abs((aheadBytes / rate) * SECOND_MS - sinceDeliveryMs)
      if (ms <= (slowest?.ms ?? 0) || taker.pace.deliveryMs(want.bytes, takerRate) > ms * TAKEOVER_ADVANTAGE) continue
      slowest = { want, holder, ms, queued: aheadBytes - want.bytes >= SENT_AHEAD_BYTES }
    }
  }
  return slowest
}
