/**
 * Which peers are asked for which block: the state of one session, without I/O or timers. The driver (`session.ts`)
 * says what happened and when; {@link SessionPlan.next} answers with what to send.
 *
 * Every block is asked of one peer, the one that is expected to deliver it soonest: by what is outstanding with it, its
 * measured rate and its round trip. A want moves on when its peer lacks the block, stalls, leaves or lies. When nothing
 * is left to assign, an idle peer that is clearly faster takes over what a slow one still holds.
 *
 * Peers that have part of the blocks, other downloads of the same as a rule, are asked ahead of need what they have
 * (WANT-HAVE), and tell by themselves when they get it. Those that have everything are asked for what no partial peer
 * has, by turns among the downloads.
 *
 * What a step costs grows with what has changed, not with what is wanted.
 */

import type { CID } from 'multiformats/cid'
import { KiB, MiB, SECOND_MS } from '../../common/units.ts'
import { type BlockKey, blockKey } from '../../dag/cid.ts'
import { Backlog } from './backlog.ts'
import { newPeer, newWant, type PlanPeer, type Want } from './plan-records.ts'
import { seedOf, turnOf } from './rendezvous.ts'
import { findTakeover } from './takeover.ts'

/** boxo and Helia keep no more wants than this per peer. */
const MAX_WANTS_PER_PEER = 1024
/** Of these, blocks that a peer is only asked whether it has. */
const MAX_PROBES_PER_PEER = 512
const MIN_DEPTH_BLOCKS = 2
/** Of a peer's depth, for blocks that others have their turn with first: they may be on their way to them. */
const SHARE_FOR_OTHERS = 0.5
/** What a block is taken to weigh while its size is unknown. */
const UNKNOWN_BLOCK_BYTES = 256 * KiB
/** Before anything is measured. */
const INITIAL_RATE = 4 * MiB
/** A stalled peer that is the only one is asked again after so long. */
const REPEAT_MS = 10 * SECOND_MS
/** "I do not have it" is believed for so long, unless the peer says otherwise by itself. */
const REFUSAL_MS = 5 * SECOND_MS
/** How often is looked for refusals that are old. */
const RETRY_CHECK_MS = SECOND_MS / 2
/** How often is looked for blocks that an idle peer can take over. */
const TAKEOVER_CHECK_MS = 20
/** Share of the wanted bytes that may be asked of a second peer while the first may already be sending them. */
const DUPLICATE_BUDGET = 0.01
/** A block that its holder needs longer for may be asked of another whatever the budget says. */
const SLOW_TAIL_MS = 2 * SECOND_MS

export interface PlanAction {
  /** `probe` asks whether the peer has the block. */
  type: 'want' | 'probe' | 'cancel'
  peerId: string
  cid: CID
}

/** How a block that arrived was seen. */
export type Arrival = 'wanted' | 'duplicate' | 'unsolicited'

export class SessionPlan {
  readonly #ownSeed: number
  readonly #wants = new Map<BlockKey, Want>()
  readonly #wantsByIndex = new Map<number, Want>()
  readonly #backlog = new Backlog()
  /** Wants that some peer has refused. */
  readonly #refused = new Set<Want>()
  readonly #peers = new Map<string, PlanPeer>()
  readonly #actions: PlanAction[] = []
  #nextIndex = 0
  #wantedBytes = 0
  #duplicatedBytes = 0
  /** Bytes a second that a peer is taken to deliver of which nothing is measured. */
  #meanRate = INITIAL_RATE
  #partialSeeds: number[] = []
  /** Peers have turned partial or are so no more. */
  #turnsChanged = false
  #refusalsChanged = false
  #retryAt = 0
  #takeoverAt = 0

  /** @param ownPeerId - settles whose turn it is among peers that download the same */
  constructor(ownPeerId: string) {
    this.#ownSeed = seedOf(ownPeerId)
  }

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
    if (!this.#peers.has(peerId)) this.#peers.set(peerId, newPeer(peerId, now))
  }

  /** Forgets a peer that has gone or is banned; what it was asked for goes to others first. */
  removePeer(peerId: string): void {
    const peer = this.#peers.get(peerId)
    if (peer === undefined) return
    this.#peers.delete(peerId)
    this.#forgetBlocksOf(peer)
    this.#takeBack(peer, false)
    for (const want of this.#refused) want.refusedBy.delete(peerId)
    this.#turnsChanged = true
    this.#refusalsChanged = true
  }

  setRtt(peerId: string, rttMs: number): void {
    const peer = this.#peers.get(peerId)
    if (peer !== undefined) peer.pace.rttMs = rttMs
  }

  /** @param bytes - expected size, if known */
  want(cid: CID, bytes: number = UNKNOWN_BLOCK_BYTES): void {
    if (this.#wants.has(blockKey(cid))) return
    const want = newWant(cid, this.#nextIndex++, bytes)
    this.#wants.set(want.key, want)
    this.#wantsByIndex.set(want.index, want)
    this.#putBack(want)
    this.#wantedBytes += bytes
  }

  /** Gives up a want; whoever was asked is told. */
  unwant(key: BlockKey): void {
    const want = this.#wants.get(key)
    if (want !== undefined) this.#end(want, undefined)
  }

  /** Bytes from the peer: it is alive, even if its block is not complete yet, unless they only trickle. */
  heard(peerId: string, bytes: number, now: number): void {
    this.#peers.get(peerId)?.pulse.heard(bytes, now)
  }

  /** A block whose hash is `key` came from the peer. Others that were asked for it are told to stop. */
  received(peerId: string, key: BlockKey, bytes: number, now: number): Arrival {
    const peer = this.#peers.get(peerId)
    const want = this.#wants.get(key)
    if (peer !== undefined) {
      peer.pulse.beat(now)
      const askedAt = want?.holders.get(peerId)?.askedAt
      if (askedAt !== undefined) {
        peer.pace.delivered(bytes, askedAt, now)
        peer.stalled = false
      }
    }
    if (want === undefined) return peer?.remembered.has(key) === true ? 'duplicate' : 'unsolicited'
    this.#end(want, peerId)
    return 'wanted'
  }

  /** The peer says that it lacks the block. */
  dontHave(peerId: string, key: BlockKey, now: number): void {
    const peer = this.#peers.get(peerId)
    if (peer === undefined) return
    peer.pulse.beat(now)
    const want = this.#wants.get(key)
    if (want === undefined) return
    if (peer.holdings.miss(this.#firstIndex())) this.#turnsChanged = true
    this.#refuse(want, peer, now)
    const claimed = peer.holdings.lost(want.index)
    if (claimed) this.#addCopies(want, -1)
    if (!want.holders.has(peerId)) return
    // The want would stand, and the block be sent when the peer gets it, perhaps long after another has given it.
    this.#release(want, peerId, true)
    if (want.holders.size === 0) this.#putBack(want)
    // One that says yes and gives nothing would be asked as fast as it answers.
    if (!claimed && want.index < peer.holdings.nextProbe) this.#probe(peer, want)
  }

  /** The peer says that it has the block, perhaps after it said otherwise. */
  have(peerId: string, key: BlockKey): void {
    const peer = this.#peers.get(peerId)
    const want = this.#wants.get(key)
    if (peer === undefined || want === undefined) return
    const lackedIt = want.refusedBy.delete(peerId)
    peer.holdings.endProbe(want.index)
    if (!peer.holdings.isPartial) return
    if (peer.holdings.gained(want.index)) this.#addCopies(want, 1)
    if (lackedIt || !peer.holdings.hit()) return
    this.#forgetBlocksOf(peer)
    this.#turnsChanged = true
  }

  /** What the peer was asked may not have reached it: asks again. */
  askAgain(peerId: string): void {
    const peer = this.#peers.get(peerId)
    if (peer === undefined) return
    for (const { cid } of peer.asked.values()) this.#actions.push({ type: 'want', peerId, cid })
    peer.holdings.forgetProbes(this.#firstIndex())
  }

  /**
   * What to send now. Call after anything has changed, and at least every few hundred milliseconds while blocks are
   * wanted, since stalls show only by the clock.
   */
  next(now: number): PlanAction[] {
    for (const peer of this.#peers.values()) this.#checkStall(peer, now)
    this.#meanRate = this.#measureMeanRate()
    if (this.#turnsChanged) this.#takeTurns()
    this.#assign(now)
    this.#retryRefused(now)
    if (this.#backlog.size === 0) this.#takeOver(now)
    for (const peer of this.#peers.values()) this.#probeAhead(peer)
    return this.#actions.splice(0)
  }

  /** Wants that every peer lacks, each told once until something changes. */
  lostWants(): CID[] {
    const lost: CID[] = []
    if (!this.#refusalsChanged || this.#peers.size === 0 || this.#anyComplete()) return lost
    this.#refusalsChanged = false
    for (const want of this.#refused) {
      if (want.reportedLost || want.refusedBy.size < this.#peers.size) continue
      want.reportedLost = true
      lost.push(want.cid)
    }
    return lost
  }

  /** Bytes a second that the peer has lately delivered while it was asked for something; 0 if not measured. */
  rateOf(peerId: string): number {
    return this.#peers.get(peerId)?.pace.measuredRate ?? 0
  }

  outstandingBytesOf(peerId: string): number {
    return this.#peers.get(peerId)?.pace.outstandingBytes ?? 0
  }

  /** True if the peer was asked and does not answer. */
  isStalled(peerId: string): boolean {
    return this.#peers.get(peerId)?.stalled ?? false
  }

  #assign(now: number): void {
    for (const { kind, wants } of this.#backlog.levels()) {
      const share = kind === 'others' ? SHARE_FOR_OTHERS : 1
      for (const want of wants) {
        let best: PlanPeer | undefined
        let bestMs = Number.POSITIVE_INFINITY
        let anyRoom = false
        for (const peer of this.#peers.values()) {
          if ((peer.holdings.isPartial && kind !== 'offered') || !this.#hasRoom(peer, want.bytes, share)) continue
          anyRoom = true
          if (!mayGive(peer, want, now)) continue
          const ms = peer.pace.deliveryMs(want.bytes, this.#rate(peer))
          if (ms < bestMs) {
            best = peer
            bestMs = ms
          }
        }
        if (!anyRoom) break
        if (best !== undefined) this.#ask(best, want, now)
      }
    }
  }

  #ask(peer: PlanPeer, want: Want, now: number): void {
    this.#backlog.remove(want)
    want.urgent = false
    want.reportedLost = false
    if (peer.asked.size === 0) {
      peer.pulse.beat(now)
      peer.pace.lastDeliveryAt = now
    }
    want.holders.set(peer.id, { askedAt: now })
    peer.asked.set(want.key, want)
    peer.pace.outstandingBytes += want.bytes
    peer.holdings.endProbe(want.index)
    peer.remembered.add(want.key, peer.asked)
    this.#actions.push({ type: 'want', peerId: peer.id, cid: want.cid })
  }

  /** Ends one peer's part in a want. */
  #release(want: Want, peerId: string, cancel: boolean): void {
    if (!want.holders.delete(peerId)) return
    const peer = this.#peers.get(peerId)
    if (peer === undefined) return
    peer.asked.delete(want.key)
    peer.pace.outstandingBytes -= want.bytes
    if (cancel) this.#actions.push({ type: 'cancel', peerId, cid: want.cid })
  }

  /** Ends a want, which `giver` has fulfilled if it is named. */
  #end(want: Want, giver: string | undefined): void {
    this.#wants.delete(want.key)
    this.#wantsByIndex.delete(want.index)
    this.#backlog.remove(want)
    this.#refused.delete(want)
    for (const holder of [...want.holders.keys()]) this.#release(want, holder, holder !== giver)
    for (const peer of this.#peers.values()) {
      if (!peer.holdings.endProbe(want.index) || peer.id === giver) continue
      this.#actions.push({ type: 'cancel', peerId: peer.id, cid: want.cid })
    }
  }

  /** Takes everything back from a peer, to be assigned before what was never asked for. */
  #takeBack(peer: PlanPeer, cancel: boolean): void {
    for (const want of [...peer.asked.values()]) {
      want.holders.delete(peer.id)
      peer.asked.delete(want.key)
      if (cancel) this.#actions.push({ type: 'cancel', peerId: peer.id, cid: want.cid })
      if (want.holders.size > 0) continue
      want.urgent = true
      this.#putBack(want)
    }
    peer.pace.outstandingBytes = 0
  }

  #putBack(want: Want): void {
    this.#backlog.put(want, turnOf(this.#ownSeed, this.#partialSeeds, want.seed))
  }

  #addCopies(want: Want, count: number): void {
    want.copies += count
    if (want.level !== undefined) this.#putBack(want)
  }

  /** Who is partial has changed, and with it whose turn each block is. */
  #takeTurns(): void {
    this.#turnsChanged = false
    this.#partialSeeds = [...this.#peers.values()].filter(({ holdings }) => holdings.isPartial).map(({ seed }) => seed)
    for (const want of this.#backlog.rare()) this.#putBack(want)
  }

  #forgetBlocksOf({ holdings }: PlanPeer): void {
    for (const want of this.#wants.values()) if (holdings.has(want.index)) this.#addCopies(want, -1)
    holdings.forgetBlocks()
  }

  #refuse(want: Want, peer: PlanPeer, now: number): void {
    want.refusedBy.set(peer.id, now)
    this.#refused.add(want)
    this.#refusalsChanged = true
  }

  /** Where nobody has everything, peers are asked again for what they did not have some time ago. */
  #retryRefused(now: number): void {
    if (this.#refused.size === 0 || now < this.#retryAt || this.#anyComplete()) return
    this.#retryAt = now + RETRY_CHECK_MS
    for (const want of this.#refused) {
      if (want.level === undefined || want.copies > 0) continue
      for (const peer of this.#peers.values()) {
        if (!this.#hasRoom(peer, want.bytes) || refusedLately(peer, want, now)) continue
        this.#ask(peer, want, now)
        break
      }
    }
  }

  #probe(peer: PlanPeer, want: Want): void {
    if (want.holders.has(peer.id) || peer.holdings.has(want.index)) return
    peer.holdings.probed(want.index)
    // A server may answer with the block where it is small.
    peer.remembered.add(want.key, peer.asked)
    this.#actions.push({ type: 'probe', peerId: peer.id, cid: want.cid })
  }

  /** Asks a partial peer about all that is wanted and that it was not asked about. */
  #probeAhead(peer: PlanPeer): void {
    const { holdings } = peer
    if (!holdings.isPartial) return
    while (holdings.nextProbe < this.#nextIndex && holdings.probedCount < MAX_PROBES_PER_PEER) {
      const want = this.#wantsByIndex.get(holdings.nextProbe++)
      if (want !== undefined) this.#probe(peer, want)
    }
  }

  #firstIndex(): number {
    for (const index of this.#wantsByIndex.keys()) return index
    return this.#nextIndex
  }

  #anyComplete(): boolean {
    for (const { holdings } of this.#peers.values()) if (!holdings.isPartial) return true
    return false
  }

  /** @param share - of what may be outstanding with the peer */
  #hasRoom({ asked, pace, stalled }: PlanPeer, bytes: number, share = 1): boolean {
    if (asked.size === 0) return true
    if (stalled || asked.size >= MAX_WANTS_PER_PEER) return false
    return asked.size < share * MIN_DEPTH_BLOCKS || pace.outstandingBytes + bytes <= share * pace.depthBytes()
  }

  /** Bytes a second expected of a peer; one that has not delivered yet is taken for an average one. */
  #rate({ pace }: PlanPeer): number {
    return pace.measuredRate ?? this.#meanRate
  }

  #measureMeanRate(): number {
    let sum = 0
    let count = 0
    for (const { pace } of this.#peers.values()) {
      if (pace.measuredRate === undefined) continue
      sum += pace.measuredRate
      count++
    }
    return count === 0 ? INITIAL_RATE : sum / count
  }

  #checkStall(peer: PlanPeer, now: number): void {
    if (peer.asked.size === 0) return
    if (!peer.pulse.isStalled(peer.pace, now)) return
    peer.stalled = true
    if (this.#peers.size === 1) {
      if (peer.pulse.silentMs(now) < REPEAT_MS) return
      peer.pulse.beat(now)
      this.askAgain(peer.id)
      return
    }
    peer.pulse.beat(now)
    for (const want of peer.asked.values()) this.#refuse(want, peer, now)
    this.#takeBack(peer, true)
  }

  #takeOver(now: number): void {
    if (now < this.#takeoverAt) return
    this.#takeoverAt = now + TAKEOVER_CHECK_MS
    for (const peer of this.#peers.values()) {
      if (peer.asked.size > 0 || peer.pace.deliveredBlocks === 0 || peer.stalled) continue
      const found = findTakeover(peer, {
        holders: this.#peers.values(),
        rateOf: (other) => this.#rate(other),
        mayTake: (want) => mayGive(peer, want, now),
        now,
      })
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
}

function refusedLately(peer: PlanPeer, want: Want, now: number): boolean {
  const refusedAt = want.refusedBy.get(peer.id)
  return refusedAt !== undefined && now - refusedAt < REFUSAL_MS
}

/** Whether a block may be asked of a peer: a partial one must have said that it has it. */
function mayGive(peer: PlanPeer, want: Want, now: number): boolean {
  return (!peer.holdings.isPartial || peer.holdings.has(want.index)) && !refusedLately(peer, want, now)
}
