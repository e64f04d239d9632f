/**
 * One download: drives the plan (`session-plan.ts`) with what peers send and with the clock, dials sources and dials
 * them again when they are lost, and keeps the count of what came from whom. `bitswap.ts` owns it and hands it every
 * verified block.
 */

import type { CID } from 'multiformats/cid'
import { type AbortOptions, abortControllerForMany, sleep } from '../../common/abort.ts'
import type { Clock } from '../../common/clock.ts'
import { messageOf, P2PError } from '../../common/errors.ts'
import { SECOND_MS } from '../../common/units.ts'
import { assertAllowedCid, bytesInCid, type FetchOptions } from '../../dag/block.ts'
import { type BlockKey, blockKey } from '../../dag/cid.ts'
import type {
  PeerPath,
  Session,
  SessionOptions,
  SessionPeerStats,
  SessionStats,
  Source,
} from '../../exchange/exchange.ts'
import { WANT_HAVE, type WantEntry } from '../message.ts'
import { Inquiry } from './inquiry.ts'
import type { MessageQueue } from './message-queue.ts'
import { RecentKeys } from './recent-keys.ts'
import { type Arrival, type PlanAction, SessionPlan } from './session-plan.ts'

/** How often stalls are looked for. */
const TICK_MS = 250
const REDIAL_FIRST_MS = SECOND_MS
const REDIAL_MAX_MS = 15 * SECOND_MS
/** Connected peers that are asked whether they have the root, at most. */
const MAX_PROBED_PEERS = 64
const MAX_SOURCES = 256
/** Blocks that the session had, by which others that download the same are known. */
const MAX_RECENT_BLOCKS = 2048
/** A peer that loses wants so many times in a row is not asked any more. */
const MAX_LOST_WANTS = 4
const LOST_WANTS_WAIT_MS = 50

/** What a session needs of the bitswap node that owns it. */
export interface SessionHost {
  readonly clock: Clock
  /** What receiving has cost so far, in all sessions. */
  costs(): Pick<SessionStats, 'hashMs' | 'limitMs'>
  readonly peerId: string
  connect(source: Source, signal: AbortSignal): Promise<void>
  connectedPeers(): string[]
  describe(peerId: string): { multiaddr: string; rttMs: number | undefined } | undefined
  pathOf(multiaddr: string): PeerPath
  queueTo(peerId: string): MessageQueue
  /** Whether another session wants this block, so that it must not be cancelled. */
  wantedElsewhere(session: BitswapSession, key: BlockKey): boolean
  /** The block's memory may be used again. */
  release(block: Uint8Array): void
  /** The block has several readers: its memory must not be used again. */
  keep(block: Uint8Array): void
  closed(session: BitswapSession): void
}

interface Waiting {
  cid: CID
  /** Several callers get the block. */
  shared: boolean
  promise: Promise<Uint8Array>
  resolve: (bytes: Uint8Array) => void
  reject: (reason: unknown) => void
}

interface PeerRecord {
  source: Source
  /** Somebody named it as a source; the others came by themselves. */
  named: boolean
  bytes: number
  blocks: number
  multiaddr: string
  dialling: boolean
  /** Not asked any more in this session. */
  banned: boolean
  /** Times in a row that wants did not reach it. */
  lostWants: number
}

export class BitswapSession implements Session {
  readonly #host: SessionHost
  readonly #options: SessionOptions
  readonly #plan: SessionPlan
  readonly #waiting = new Map<BlockKey, Waiting>()
  readonly #peers = new Map<string, PeerRecord>()
  readonly #probed = new Set<string>()
  readonly #recent = new RecentKeys(MAX_RECENT_BLOCKS)
  readonly #inquiries = new Set<Inquiry>()
  /** Blocks that peers were asked about and not for, by {@link inquiryKey}: some are sent all the same. */
  readonly #inquired = new Set<string>()
  readonly #abort = abortControllerForMany()
  #bytes = 0
  #blocks = 0
  #receivedBytes = 0
  #duplicateBytes = 0
  #ticker: NodeJS.Timeout | undefined
  #stepScheduled = false

  constructor(host: SessionHost, options: SessionOptions) {
    this.#host = host
    this.#options = options
    this.#plan = new SessionPlan(host.peerId)
    options.signal?.addEventListener('abort', this.#onOuterAbort, { once: true })
  }

  get livePeers(): number {
    return this.#plan.peerCount
  }

  /** Asks peers for a block. One that several callers want is asked for once. The session's signal cancels, not a call's. */
  async fetch(cid: CID, { expectedBytes }: FetchOptions = {}): Promise<Uint8Array> {
    this.#abort.signal.throwIfAborted()
    assertAllowedCid(cid)
    const known = bytesInCid(cid)
    if (known !== undefined) return known
    const key = blockKey(cid)
    const waiting = this.#waiting.get(key)
    if (waiting !== undefined) {
      waiting.shared = true
      return await waiting.promise
    }
    let settle!: Pick<Waiting, 'resolve' | 'reject'>
    const promise = new Promise<Uint8Array>((resolve, reject) => {
      settle = { resolve, reject }
    })
    this.#waiting.set(key, { cid, promise, shared: false, ...settle })
    this.#plan.want(cid, expectedBytes)
    if (this.#waiting.size === 1) this.#probeConnected()
    this.#step()
    return await promise
  }

  addSource(source: Source): void {
    const known = this.#peers.get(source.peerId)
    if (known !== undefined) {
      const fresh = source.multiaddrs.filter((address) => !known.source.multiaddrs.includes(address))
      known.source.multiaddrs.push(...fresh)
      known.named = true
      void this.#keepConnected(known)
    } else if (this.#peers.size < MAX_SOURCES || this.#dropStranger()) {
      const record = this.#record({ peerId: source.peerId, multiaddrs: [...source.multiaddrs] })
      record.named = true
      void this.#keepConnected(record)
    }
  }

  stats(): SessionStats {
    const peers: SessionPeerStats[] = []
    for (const [peerId, record] of this.#peers) {
      const connected = this.#plan.hasPeer(peerId)
      const link = this.#host.describe(peerId)
      if (link !== undefined) record.multiaddr = link.multiaddr
      peers.push({
        peerId,
        multiaddr: record.multiaddr,
        path: this.#host.pathOf(record.multiaddr),
        connected,
        bytes: record.bytes,
        blocks: record.blocks,
        bytesPerSecond: connected ? this.#plan.rateOf(peerId) : 0,
        inFlightBytes: this.#plan.outstandingBytesOf(peerId),
        rttMs: link?.rttMs,
      })
    }
    return {
      bytes: this.#bytes,
      blocks: this.#blocks,
      receivedBytes: this.#receivedBytes,
      duplicateBytes: this.#duplicateBytes,
      peers,
      ...this.#host.costs(),
    }
  }

  async countHeldBy(peerId: string, cids: readonly CID[], { signal }: AbortOptions): Promise<number> {
    if (cids.length === 0 || signal?.aborted === true) return 0
    return await new Promise<number>((resolve) => {
      const end = () => {
        signal?.removeEventListener('abort', end)
        this.#inquiries.delete(inquiry)
        for (const cid of cids) if (!this.#waiting.has(blockKey(cid))) this.#cancel(peerId, cid)
        resolve(inquiry.held)
      }
      const inquiry = new Inquiry(peerId, cids, end)
      this.#inquiries.add(inquiry)
      signal?.addEventListener('abort', end, { once: true })
      const queue = this.#host.queueTo(peerId)
      for (const cid of cids) {
        this.#inquired.add(inquiryKey(peerId, blockKey(cid)))
        queue.want(cid, WANT_HAVE)
      }
    })
  }

  release(block: Uint8Array): void {
    this.#host.release(block)
  }

  async close(): Promise<void> {
    this.#end(new P2PError('aborted', 'The download session was closed'))
  }

  /** Whether the peer has been asked for the block lately, also after the end of the session. */
  hasAskedFor(peerId: string, key: BlockKey): boolean {
    return this.#plan.hasAskedFor(peerId, key) || this.#inquired.has(inquiryKey(peerId, key))
  }

  /** True while the block is wanted. */
  wants(key: BlockKey): boolean {
    return this.#waiting.has(key)
  }

  /** Bytes read from a peer's streams. */
  onBytes(peerId: string, count: number): void {
    this.#receivedBytes += count
    this.#plan.heard(peerId, count, this.#now())
  }

  /** A block that hashes to `key` has come from the peer. */
  onBlock(peerId: string, key: BlockKey, bytes: Uint8Array): Arrival {
    this.#tellInquiries(peerId, key, true)
    const arrival = this.#plan.received(peerId, key, bytes.byteLength, this.#now())
    if (arrival === 'wanted') {
      const record = this.#peers.get(peerId) ?? this.#record({ peerId, multiaddrs: [] })
      record.bytes += bytes.byteLength
      record.blocks++
      record.lostWants = 0
      // It was only asked whether it has the block, and has sent it at once.
      if (!record.banned) this.#join(record)
      this.#bytes += bytes.byteLength
      this.#blocks++
      const waiting = this.#waiting.get(key)
      this.#waiting.delete(key)
      this.#recent.add(key)
      if (waiting?.shared === true) this.#host.keep(bytes)
      waiting?.resolve(bytes)
    } else if (arrival === 'duplicate') {
      this.#duplicateBytes += bytes.byteLength
    }
    this.#step()
    return arrival === 'unsolicited' && this.#inquired.has(inquiryKey(peerId, key)) ? 'duplicate' : arrival
  }

  /** The peer has sent bytes that nobody asked it for: wrong ones, since wrong bytes have another hash. */
  onUnsolicited(peerId: string): void {
    const record = this.#peers.get(peerId)
    if (record === undefined || record.banned || !this.#plan.hasPeer(peerId)) return
    record.banned = true
    this.#plan.removePeer(peerId)
    const reason = 'it sent a block that does not match what it was asked for'
    this.#options.onEvent?.({ type: 'peer-banned', peerId, reason })
    this.#step()
  }

  /** The peer says whether it has a block. */
  onPresence(peerId: string, key: BlockKey, have: boolean): void {
    this.#tellInquiries(peerId, key, have)
    const record = this.#peers.get(peerId)
    if (record !== undefined) record.lostWants = 0
    if (!have) {
      this.#plan.dontHave(peerId, key, this.#now())
    } else if (this.#plan.hasPeer(peerId)) {
      this.#plan.have(peerId, key)
    } else if (this.#waiting.has(key) && record?.banned !== true && (record !== undefined || this.#hasRoom())) {
      this.#join(record ?? this.#record({ peerId, multiaddrs: [] }))
    }
    this.#step()
  }

  /** What the peer wants itself: one that wants the same as this session will have some of it. */
  onWants(peerId: string, wants: readonly WantEntry[]): void {
    const record = this.#peers.get(peerId)
    if (wants.length === 0 || this.#plan.hasPeer(peerId) || record?.banned === true) return
    const isShared = wants.some(({ cid, cancel }) => !cancel && this.#isOrWasWanted(blockKey(cid)))
    if (!isShared || (record === undefined && !this.#hasRoom())) return
    this.#join(record ?? this.#record({ peerId, multiaddrs: [] }))
  }

  /** A peer that speaks bitswap has connected, on its own or because it was dialled. */
  onPeerConnected(peerId: string): void {
    const record = this.#peers.get(peerId)
    if (record === undefined) this.#probe(peerId)
    else if (!record.banned) this.#join(record)
  }

  onPeerDisconnected(peerId: string): void {
    this.#probed.delete(peerId)
    const record = this.#peers.get(peerId)
    if (record === undefined || !this.#plan.hasPeer(peerId)) return
    this.#plan.removePeer(peerId)
    this.#step()
    if (record.named) {
      this.#options.onEvent?.({ type: 'peer-gone', peerId })
      void this.#keepConnected(record)
    } else if (record.bytes === 0) {
      this.#peers.delete(peerId)
    }
  }

  /** What the peer was asked for may not have reached it. */
  onWantsLost(peerId: string): void {
    const record = this.#peers.get(peerId)
    if (record === undefined || !this.#plan.hasPeer(peerId)) return
    record.lostWants++
    if (record.lostWants <= MAX_LOST_WANTS) {
      // Not at once: a peer that refuses every stream would be asked as fast as it refuses.
      const waitMs = LOST_WANTS_WAIT_MS * 2 ** record.lostWants
      sleep(waitMs, { signal: this.#abort.signal }).then(
        () => {
          this.#plan.askAgain(peerId)
          this.#step()
        },
        () => {},
      )
      return
    }
    record.banned = true
    this.#plan.removePeer(peerId)
    const { multiaddrs } = record.source
    const reason = `Peer ${peerId} takes no bitswap messages.`
    this.#options.onEvent?.({ type: 'peer-unreachable', peerId, multiaddrs, reason })
    this.#step()
  }

  readonly #onOuterAbort = () => this.#end(this.#options.signal?.reason)

  #now(): number {
    return this.#host.clock.monotonicMs()
  }

  #isOrWasWanted(key: BlockKey): boolean {
    return this.#waiting.has(key) || this.#recent.has(key)
  }

  #hasRoom(): boolean {
    return this.#peers.size < MAX_SOURCES
  }

  /** Makes room for a source that was named. @returns false if every peer was */
  #dropStranger(): boolean {
    const strangers = [...this.#peers.values()].filter(({ named, banned }) => !named && !banned)
    const least = strangers.sort((a, b) => a.bytes - b.bytes)[0]
    if (least === undefined) return false
    this.#plan.removePeer(least.source.peerId)
    this.#peers.delete(least.source.peerId)
    return true
  }

  #record(source: Source): PeerRecord {
    const record: PeerRecord = {
      source,
      named: false,
      bytes: 0,
      blocks: 0,
      multiaddr: source.multiaddrs[0] ?? `/p2p/${source.peerId}`,
      dialling: false,
      banned: false,
      lostWants: 0,
    }
    this.#peers.set(source.peerId, record)
    return record
  }

  #join(record: PeerRecord): void {
    const { peerId } = record.source
    if (this.#plan.hasPeer(peerId) || this.#abort.signal.aborted) return
    const link = this.#host.describe(peerId)
    if (link === undefined) return
    record.multiaddr = link.multiaddr
    this.#plan.addPeer(peerId, this.#now())
    this.#options.onEvent?.({ type: 'peer-connected', peerId, multiaddr: link.multiaddr })
    this.#step()
  }

  /** Dials a source, ever less often, until it is connected or the session ends. */
  async #keepConnected(record: PeerRecord): Promise<void> {
    if (record.dialling || record.banned) return
    record.dialling = true
    const { signal } = this.#abort
    let waitMs = REDIAL_FIRST_MS
    try {
      while (!record.banned && !signal.aborted && !this.#plan.hasPeer(record.source.peerId)) {
        if (await this.#dial(record)) break
        await sleep(waitMs * (0.5 + Math.random()), { signal })
        waitMs = Math.min(REDIAL_MAX_MS, waitMs * 2)
      }
    } catch {
      // The session has ended.
    } finally {
      record.dialling = false
    }
  }

  async #dial(record: PeerRecord): Promise<boolean> {
    try {
      await this.#host.connect(record.source, this.#abort.signal)
    } catch (error) {
      const { peerId, multiaddrs } = record.source
      if (!this.#abort.signal.aborted) {
        this.#options.onEvent?.({ type: 'peer-unreachable', peerId, multiaddrs, reason: messageOf(error) })
      }
      return false
    }
    this.#join(record)
    return this.#plan.hasPeer(record.source.peerId)
  }

  #probeConnected(): void {
    for (const peerId of this.#host.connectedPeers()) this.#probe(peerId)
  }

  /** Asks a peer that nobody named whether it has something that is wanted now. */
  #probe(peerId: string): void {
    if (this.#peers.has(peerId) || this.#probed.has(peerId) || this.#probed.size >= MAX_PROBED_PEERS) return
    const first = this.#waiting.values().next().value
    if (first === undefined) return
    this.#probed.add(peerId)
    this.#host.queueTo(peerId).want(first.cid, WANT_HAVE)
  }

  /** Lets the plan decide once for all that happens in this turn of the event loop. */
  #step(): void {
    if (this.#stepScheduled) return
    this.#stepScheduled = true
    queueMicrotask(() => {
      this.#stepScheduled = false
      this.#act()
    })
  }

  #act(): void {
    if (this.#abort.signal.aborted) return
    const now = this.#now()
    for (const action of this.#plan.next(now)) this.#send(action)
    for (const cid of this.#plan.lostWants()) this.#options.onEvent?.({ type: 'nobody-has', cid: cid.toString() })
    if (this.#plan.wantCount === 0) this.#stopTicking()
    else this.#ticker ??= setInterval(() => this.#tick(), TICK_MS)
  }

  #tick(): void {
    for (const peerId of this.#peers.keys()) {
      const rttMs = this.#plan.hasPeer(peerId) ? this.#host.describe(peerId)?.rttMs : undefined
      if (rttMs !== undefined) this.#plan.setRtt(peerId, rttMs)
    }
    this.#act()
  }

  #send({ type, peerId, cid }: PlanAction): void {
    const queue = this.#host.queueTo(peerId)
    if (type === 'want') queue.want(cid)
    else if (type === 'probe') queue.want(cid, WANT_HAVE)
    else this.#cancel(peerId, cid)
  }

  #cancel(peerId: string, cid: CID): void {
    const key = blockKey(cid)
    if (!this.#host.wantedElsewhere(this, key)) this.#host.queueTo(peerId).cancel(cid)
  }

  #tellInquiries(peerId: string, key: BlockKey, have: boolean): void {
    for (const inquiry of this.#inquiries) if (inquiry.peerId === peerId) inquiry.answered(key, have)
  }

  #stopTicking(): void {
    clearInterval(this.#ticker)
    this.#ticker = undefined
  }

  #end(reason: unknown): void {
    if (this.#abort.signal.aborted) return
    for (const key of this.#waiting.keys()) this.#plan.unwant(key)
    for (const action of this.#plan.next(this.#now())) this.#send(action)
    this.#abort.abort(reason)
    this.#stopTicking()
    this.#options.signal?.removeEventListener('abort', this.#onOuterAbort)
    for (const { promise, reject } of this.#waiting.values()) {
      promise.catch(() => {})
      reject(reason)
    }
    this.#waiting.clear()
    this.#host.closed(this)
  }
}

function inquiryKey(peerId: string, key: BlockKey): string {
  return `${peerId} ${key}`
}
