/**
 * Which peer is asked for which block: the state of one session, without I/O or timers. The driver (`session.ts`) says
 * what happened and when; {@link SessionPlan.next} answers with what to send.
 *
 * Every block is asked of one peer, the one that is expected to deliver it soonest: by what is outstanding with it, its
 * measured rate and its round trip. A want moves on when its peer lacks the block, stalls, leaves or lies. When nothing
 * is left to assign, an idle peer that is clearly faster takes over what a slow one still holds.
 */

import type { CID } from 'multiformats/cid'
import { MiB, SECOND_MS } from '../../common/units.ts'
import { type BlockKey, blockKey } from '../../dag/cid.ts'

/** boxo and Helia keep no more wants than this per peer. */
const MAX_WANTS_PER_PEER = 1024
const MAX_OUTSTANDING_BYTES = 16 * MiB
const MIN_DEPTH_BLOCKS = 2
/** How much of its rate a peer may have outstanding, on top of its round trip. */
const DEPTH_MS = SECOND_MS
/** What a block is taken to weigh while its size is unknown. */
const UNKNOWN_BLOCK_BYTES = 256 * 1024
/** Before anything is measured. */
const INITIAL_RATE = 4 * MiB
const INITIAL_RTT_MS = 50
/** Older deliveries count half as much after so long a time of being busy. */
const RATE_HALF_LIFE_MS = 2 * SECOND_MS
/** A peer that was asked and sends nothing for so long, or for four of its response times, is stalled. */
const STALL_MIN_MS = 2.5 * SECOND_MS
/** 100 kbit/s, as boxo demands of a peer that it sends to; slower is as good as silent. */
const MIN_BYTES_PER_SECOND = 12_500
/** A stalled peer that is the only one is asked again after so long. */
const REPEAT_MS = 10 * SECOND_MS
/** "I do not have it" is believed for so long. */
const LACK_MS = 5 * SECOND_MS
/** After so many refusals in a row a peer is asked for one block at a time. */
const DOUBTFUL_AFTER_DONT_HAVES = 16
/** An idle peer takes over a block only if it would deliver it in this part of the time the holder needs. */
const TAKEOVER_ADVANTAGE = 0.5
/** What a server may have on its way already, so that a cancel comes too late for it: as much as ours. */
const SENT_AHEAD_BYTES = 2 * MiB
/** Share of the wanted bytes that may be asked of a second peer while the first may already be sending them. */
const DUPLICATE_BUDGET = 0.01
/** A block that its holder needs longer for may be asked of another whatever the budget says. */
const SLOW_TAIL_MS = 2 * SECOND_MS
/** Keys remembered per peer, to tell a late block from one that was never asked for. */
const REMEMBERED_KEYS = 8192

export interface PlanAction {
  type: 'want' | 'cancel'
  peerId: string
  cid: CID
}

/** How a block that arrived was seen. */
export type Arrival = 'wanted' | 'duplicate' | 'unsolicited'

interface Want {
  key: BlockKey
  cid: CID
  bytes: number
  /** Peers that are asked for it now, the first one first; two only at the end of a download. */
  holders: Map<string, { askedAt: number }>
  /** Peers that said they lack it, and when. */
  lackedBy: Map<string, number> | undefined
  reportedLost: boolean
}

interface Takeover {
  want: Want
  holder: Peer
  /** Until the holder delivers it. */
  ms: number
  /** The holder has not begun to send it. */
  queued: boolean
}

interface Peer {
  id: string
  asked: Map<BlockKey, Want>
  outstandingBytes: number
  rttMs: number
  /** Sums that fade with {@link RATE_HALF_LIFE_MS}: what arrived, and how long the peer was busy with it. */
  fadingBytes: number
  fadingMs: number
  deliveredBlocks: number
  /** Grows by one block a delivery until the measured rate takes over. */
  slowStartBytes: number
  lastDeliveryAt: number
  lastHeardAt: number
  /** Bytes since then that were too few to count as life. */
  heardBytes: number
  stalled: boolean
  dontHavesInRow: number
  remembered: Set<BlockKey>
}

export class SessionPlan {
  readonly #wants = new Map<BlockKey, Want>()
  /** Wants that nobody is asked for, in the order in which they are to be assigned. */
  readonly #unassigned = new Map<BlockKey, Want>()
  readonly #peers = new Map<string, Peer>()
  readonly #actions: PlanAction[] = []
  #wantedBytes = 0
  #duplicatedBytes = 0

  get peerCount(): number {
    return this.#peers.size
  }

  get wantCount(): number {
    return this.#wants.size
  }

  hasPeer(peerId: string): boolean {
    return this.#peers.has(peerId)
  }

  /** Whether the peer has been asked for the block, as far back as is remembered. */
  hasAskedFor(peerId: string, key: BlockKey): boolean {
    return this.#peers.get(peerId)?.remembered.has(key) === true
  }

  /** @param now - milliseconds of a clock that only goes forward, here and in every method */
  addPeer(peerId: string, now: number): void {
    if (this.#peers.has(peerId)) return
    this.#peers.set(peerId, {
      id: peerId,
      asked: new Map(),
      outstandingBytes: 0,
      rttMs: INITIAL_RTT_MS,
      fadingBytes: 0,
      fadingMs: 0,
      deliveredBlocks: 0,
      slowStartBytes: 0,
      lastDeliveryAt: now,
      lastHeardAt: now,
      heardBytes: 0,
      stalled: false,
      dontHavesInRow: 0,
      remembered: new Set(),
    })
  }

  /** Forgets a peer that has gone or is banned; what it was asked for goes to others first. */
  removePeer(peerId: string): void {
    const peer = this.#peers.get(peerId)
    if (peer === undefined) return
    this.#peers.delete(peerId)
    this.#takeBack(peer, false)
    for (const want of this.#wants.values()) want.lackedBy?.delete(peerId)
  }

  setRtt(peerId: string, rttMs: number): void {
    const peer = this.#peers.get(peerId)
    if (peer !== undefined) peer.rttMs = rttMs
  }

  /** @param bytes - expected size, if known */
  want(cid: CID, bytes?: number): void {
    const key = blockKey(cid)
    if (this.#wants.has(key)) return
    const want: Want = {
      key,
      cid,
      bytes: bytes ?? UNKNOWN_BLOCK_BYTES,
      holders: new Map(),
      lackedBy: undefined,
      reportedLost: false,
    }
    this.#wants.set(key, want)
    this.#unassigned.set(key, want)
    this.#wantedBytes += want.bytes
  }

  /** Gives up a want; whoever was asked is told. */
  unwant(key: BlockKey): void {
    const want = this.#wants.get(key)
    if (want === undefined) return
    for (const peerId of [...want.holders.keys()]) this.#release(want, peerId, true)
    this.#wants.delete(key)
    this.#unassigned.delete(key)
  }

  /** Bytes from the peer: it is alive, even if its block is not complete yet, unless they only trickle. */
  heard(peerId: string, bytes: number, now: number): void {
    const peer = this.#peers.get(peerId)
    if (peer === undefined) return
    peer.heardBytes += bytes
    if (peer.heardBytes < ((now - peer.lastHeardAt) * MIN_BYTES_PER_SECOND) / SECOND_MS) return
    peer.heardBytes = 0
    peer.lastHeardAt = now
  }

  /** A block whose hash is `key` came from the peer. Others that were asked for it are told to stop. */
  received(peerId: string, key: BlockKey, bytes: number, now: number): Arrival {
    const peer = this.#peers.get(peerId)
    const want = this.#wants.get(key)
    if (peer !== undefined) {
      peer.lastHeardAt = now
      const askedAt = want?.holders.get(peerId)?.askedAt
      if (askedAt !== undefined) this.#measure(peer, bytes, askedAt, now)
    }
    if (want === undefined) return peer?.remembered.has(key) === true ? 'duplicate' : 'unsolicited'

    this.#wants.delete(key)
    this.#unassigned.delete(key)
    for (const holder of [...want.holders.keys()]) this.#release(want, holder, holder !== peerId)
    return 'wanted'
  }

  /** The peer says that it lacks the block. */
  dontHave(peerId: string, key: BlockKey, now: number): void {
    const peer = this.#peers.get(peerId)
    const want = this.#wants.get(key)
    if (peer === undefined) return
    peer.lastHeardAt = now
    peer.dontHavesInRow++
    if (want === undefined) return
    want.lackedBy ??= new Map()
    want.lackedBy.set(peerId, now)
    this.#release(want, peerId, false)
    if (want.holders.size === 0) this.#unassigned.set(key, want)
  }

  /** The peer says that it has the block, perhaps after it said otherwise. */
  have(peerId: string, key: BlockKey): void {
    this.#wants.get(key)?.lackedBy?.delete(peerId)
  }

  /** What the peer was asked for may not have reached it: asks for it again. */
  askAgain(peerId: string): void {
    for (const { cid } of this.#peers.get(peerId)?.asked.values() ?? []) {
      this.#actions.push({ type: 'want', peerId, cid })
    }
  }

  /**
   * What to send now. Call after anything has changed, and at least every few hundred milliseconds while blocks are
   * wanted, since stalls show only by the clock.
   */
  next(now: number): PlanAction[] {
    for (const peer of this.#peers.values()) this.#checkStall(peer, now)
    this.#assign(now)
    if (this.#unassigned.size === 0) this.#takeOver(now)
    return this.#actions.splice(0)
  }

  /** Wants that every peer lacks, each told once until something changes. */
  lostWants(now: number): CID[] {
    const lost: CID[] = []
    if (this.#peers.size === 0) return lost
    for (const want of this.#unassigned.values()) {
      if (want.reportedLost) continue
      let lackers = 0
      for (const peerId of this.#peers.keys()) if (lacks(want, peerId, now)) lackers++
      if (lackers < this.#peers.size) continue
      want.reportedLost = true
      lost.push(want.cid)
    }
    return lost
  }

  /** Bytes a second that the peer has lately delivered while it was asked for something; 0 if not measured. */
  rateOf(peerId: string): number {
    const peer = this.#peers.get(peerId)
    return peer === undefined || peer.fadingMs === 0 ? 0 : (peer.fadingBytes / peer.fadingMs) * SECOND_MS
  }

  outstandingBytesOf(peerId: string): number {
    return this.#peers.get(peerId)?.outstandingBytes ?? 0
  }

  /** True if the peer was asked and does not answer. */
  isStalled(peerId: string): boolean {
    return this.#peers.get(peerId)?.stalled ?? false
  }

  #assign(now: number): void {
    for (const want of this.#unassigned.values()) {
      let best: Peer | undefined
      let bestMs = Number.POSITIVE_INFINITY
      let anyRoom = false
      for (const peer of this.#peers.values()) {
        if (!this.#hasRoom(peer, want.bytes)) continue
        anyRoom = true
        if (lacks(want, peer.id, now)) continue
        const ms = this.#deliveryMs(peer, want.bytes)
        if (ms < bestMs) {
          best = peer
          bestMs = ms
        }
      }
      if (!anyRoom) return
      if (best !== undefined) this.#ask(best, want, now)
    }
  }

  #ask(peer: Peer, want: Want, now: number): void {
    this.#unassigned.delete(want.key)
    if (peer.asked.size === 0) {
      peer.lastHeardAt = now
      peer.lastDeliveryAt = now
    }
    want.holders.set(peer.id, { askedAt: now })
    want.reportedLost = false
    peer.asked.set(want.key, want)
    peer.outstandingBytes += want.bytes
    peer.remembered.delete(want.key)
    peer.remembered.add(want.key)
    if (peer.remembered.size > REMEMBERED_KEYS) {
      for (const oldest of peer.remembered) {
        if (!peer.asked.has(oldest)) {
          peer.remembered.delete(oldest)
          break
        }
      }
    }
    this.#actions.push({ type: 'want', peerId: peer.id, cid: want.cid })
  }

  /** Ends one peer's part in a want. */
  #release(want: Want, peerId: string, cancel: boolean): void {
    if (!want.holders.delete(peerId)) return
    const peer = this.#peers.get(peerId)
    if (peer === undefined) return
    peer.asked.delete(want.key)
    peer.outstandingBytes -= want.bytes
    if (cancel) this.#actions.push({ type: 'cancel', peerId, cid: want.cid })
  }

  /** Takes everything back from a peer, to be assigned before what was never asked for. */
  #takeBack(peer: Peer, cancel: boolean): void {
    const orphans: Want[] = []
    for (const want of [...peer.asked.values()]) {
      this.#release(want, peer.id, cancel)
      if (want.holders.size === 0) orphans.push(want)
    }
    if (orphans.length === 0) return
    const rest = [...this.#unassigned.values()]
    this.#unassigned.clear()
    for (const want of [...orphans, ...rest]) this.#unassigned.set(want.key, want)
  }

  #hasRoom(peer: Peer, bytes: number): boolean {
    if (peer.asked.size === 0) return true
    if (peer.stalled || peer.dontHavesInRow >= DOUBTFUL_AFTER_DONT_HAVES) return false
    if (peer.asked.size >= MAX_WANTS_PER_PEER) return false
    return peer.asked.size < MIN_DEPTH_BLOCKS || peer.outstandingBytes + bytes <= this.#depthBytes(peer)
  }

  #depthBytes(peer: Peer): number {
    const byRate = (this.#rate(peer) * (DEPTH_MS + peer.rttMs)) / SECOND_MS
    return Math.min(MAX_OUTSTANDING_BYTES, Math.max(peer.slowStartBytes, peer.deliveredBlocks === 0 ? 0 : byRate))
  }

  /** Bytes a second expected of a peer; one that has not delivered yet is taken for an average one. */
  #rate(peer: Peer): number {
    if (peer.fadingMs > 0) return Math.max(1, (peer.fadingBytes / peer.fadingMs) * SECOND_MS)
    let sum = 0
    let count = 0
    for (const other of this.#peers.values()) {
      if (other.fadingMs === 0) continue
      sum += (other.fadingBytes / other.fadingMs) * SECOND_MS
      count++
    }
    return count === 0 ? INITIAL_RATE : Math.max(1, sum / count)
  }

  #deliveryMs(peer: Peer, bytes: number): number {
    return ((peer.outstandingBytes + bytes) / this.#rate(peer)) * SECOND_MS + peer.rttMs
  }

  #measure(peer: Peer, bytes: number, askedAt: number, now: number): void {
    const busyMs = Math.max(0.01, now - Math.max(askedAt, peer.lastDeliveryAt))
    const keep = 2 ** (-busyMs / RATE_HALF_LIFE_MS)
    peer.fadingBytes = peer.fadingBytes * keep + bytes
    peer.fadingMs = peer.fadingMs * keep + busyMs
    peer.lastDeliveryAt = now
    peer.deliveredBlocks++
    peer.dontHavesInRow = 0
    peer.stalled = false
    peer.slowStartBytes = Math.min(MAX_OUTSTANDING_BYTES, Math.max(peer.slowStartBytes, peer.outstandingBytes) + bytes)
  }

  #checkStall(peer: Peer, now: number): void {
    if (peer.asked.size === 0) return
    const silentMs = now - peer.lastHeardAt
    if (silentMs < Math.max(STALL_MIN_MS, 4 * peer.rttMs)) return
    if (this.#peers.size === 1) {
      peer.stalled = true
      if (silentMs < REPEAT_MS) return
      peer.lastHeardAt = now
      this.askAgain(peer.id)
      return
    }
    peer.stalled = true
    peer.lastHeardAt = now
    for (const want of peer.asked.values()) {
      want.lackedBy ??= new Map()
      want.lackedBy.set(peer.id, now)
    }
    this.#takeBack(peer, true)
  }

  #takeOver(now: number): void {
    for (const peer of this.#peers.values()) {
      if (peer.asked.size > 0 || peer.deliveredBlocks === 0 || peer.stalled) continue
      const found = this.#slowestWant(peer, now)
      if (found === undefined) continue
      const { want, holder, queued, ms } = found
      if (queued) {
        this.#release(want, holder.id, true)
      } else {
        const withinBudget = this.#duplicatedBytes + want.bytes <= DUPLICATE_BUDGET * this.#wantedBytes
        if (!withinBudget && ms < SLOW_TAIL_MS) continue
        this.#duplicatedBytes += want.bytes
      }
      this.#ask(peer, want, now)
    }
  }

  /** The want that its only holder will deliver last, if this peer would be clearly sooner. */
  #slowestWant(taker: Peer, now: number): Takeover | undefined {
    let slowest: Takeover | undefined
    for (const holder of this.#peers.values()) {
      if (holder === taker) continue
      let aheadBytes = 0
      for (const want of holder.asked.values()) {
        aheadBytes += want.bytes
        if (want.holders.size > 1 || lacks(want, taker.id, now)) continue
        const sinceDeliveryMs = now - holder.lastDeliveryAt
        // Overdue by so much is taken to need as much again.
        const ms = Math.abs((aheadBytes / this.#rate(holder)) * SECOND_MS - sinceDeliveryMs)
        if (ms <= (slowest?.ms ?? 0) || this.#deliveryMs(taker, want.bytes) > ms * TAKEOVER_ADVANTAGE) continue
        slowest = { want, holder, ms, queued: aheadBytes - want.bytes >= SENT_AHEAD_BYTES }
      }
    }
    return slowest
  }
}

function lacks(want: Want, peerId: string, now: number): boolean {
  const saidAt = want.lackedBy?.get(peerId)
  return saidAt !== undefined && now - saidAt < LACK_MS
}
