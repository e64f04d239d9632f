/**
 * Bitswap 1.2.0 as a libp2p service: `services: { bitswap: bitswap({ blockstore }) }`. Joins the network, the server
 * that answers peers and the sessions that ask them; hashes every block that comes in, once, before anyone sees it.
 * @see https://specs.ipfs.tech/bitswap-protocol/
 */

import type { PeerId } from '@libp2p/interface'
import { create as createDigest } from 'multiformats/hashes/digest'
import type { BlockStore } from '../blockstore/blockstore.ts'
import type { AbortOptions } from '../common/abort.ts'
import { BufferPool } from '../common/buffer-pool.ts'
import { type Clock, systemClock } from '../common/clock.ts'
import { RateLimiter } from '../common/rate-limiter.ts'
import { MINUTE_MS } from '../common/units.ts'
import { digestOf } from '../dag/block.ts'
import { type BlockKey, blockKey, keyOfMultihash } from '../dag/cid.ts'
import type { Exchange, PeerPath, Session, SessionOptions, Source } from '../exchange/exchange.ts'
import { MessageQueue } from './client/message-queue.ts'
import { BitswapSession, type SessionHost } from './client/session.ts'
import type { Message, PayloadBlock } from './message.ts'
import { BitswapNetwork, type Limits, type NetworkComponents, type NetworkListener } from './network.ts'
import { Server } from './server/server.ts'
import { Traffic } from './traffic.ts'

export interface BitswapInit {
  /** Blocks that are given to others. */
  blockstore: Pick<BlockStore, 'get' | 'size'>
  /** How a connection is named to the user, from the address in use. */
  pathOf: (multiaddr: string) => PeerPath
  /** Connects to a peer or throws why not; libp2p's own dialler if left out. */
  connect?: ((source: Source, options: AbortOptions) => Promise<void>) | undefined
  clock?: Clock | undefined
  /** Memory for blocks that come in or go out; whoever sends gives back to it what is sent. By default none is used again. */
  buffers?: BufferPool | undefined
  /** Most bytes a second, over all peers that are held to them. */
  limits?: TransferLimits | undefined
  /** Told of blocks that should be here and cannot be read. */
  onError?: ((message: string) => void) | undefined
}

interface TransferLimits {
  upBytesPerSecond?: number | undefined
  downBytesPerSecond?: number | undefined
  /** Hold peers on this machine and in its own network to them too. */
  lan?: boolean | undefined
}

export interface BitswapComponents extends NetworkComponents {
  peerId: PeerId
}

/** What is on its way when a session ends has come by then, or its peer sends slower than is waited for. */
const LATE_BLOCKS_MS = 2 * MINUTE_MS

/** Returns the factory that libp2p calls with its components. */
export function bitswap(init: BitswapInit): (components: BitswapComponents) => Bitswap {
  return (components) => new Bitswap(components, init)
}

export class Bitswap implements Exchange, NetworkListener, SessionHost {
  readonly clock: Clock
  readonly peerId: string
  readonly traffic: Traffic
  readonly #init: BitswapInit
  readonly #buffers: BufferPool
  readonly #limits: Limits
  readonly #network: BitswapNetwork
  readonly #server: Server
  readonly #sessions = new Set<BitswapSession>()
  /** Sessions that have just ended: what they had asked for still comes. */
  readonly #ended = new Set<BitswapSession>()
  readonly #queues = new Map<string, MessageQueue>()
  #hashMs = 0

  constructor(components: BitswapComponents, init: BitswapInit) {
    this.#init = init
    this.#buffers = init.buffers ?? new BufferPool(0)
    this.peerId = components.peerId.toString()
    this.clock = init.clock ?? systemClock
    this.traffic = new Traffic(this.clock)
    this.#limits = limitsOf(init, this.clock)
    this.#network = new BitswapNetwork(components, this, this.#buffers, this.#limits)
    this.#server = new Server({
      blockstore: init.blockstore,
      buffers: this.#buffers,
      send: async (peerId, pieces) => {
        await this.#network.sendReply(peerId, pieces)
        const bytes = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0)
        this.traffic.sent(peerId, bytes)
      },
      onError: (message) => init.onError?.(message),
      clock: this.clock,
    })
  }

  get takesBlocks(): boolean {
    return this.#sessions.size > 0
  }

  async start(): Promise<void> {
    await this.#network.start()
  }

  async stop(): Promise<void> {
    this.#server.stop()
    await Promise.all([...this.#sessions].map((session) => session.close()))
    await this.#network.stop()
  }

  openSession(options: SessionOptions = {}): Session {
    const session = new BitswapSession(this, options)
    this.#sessions.add(session)
    return session
  }

  blockStored(key: BlockKey, bytes: number): void {
    this.#server.blockArrived(key, bytes)
  }

  onMessage(peerId: string, message: Message): void {
    this.#server.receive(peerId, message)
    if (this.#sessions.size === 0) return
    for (const session of this.#sessions) session.onWants(peerId, message.wants)
    for (const block of message.blocks) this.#receiveBlock(peerId, block)
    for (const { cid, have } of message.presences) {
      for (const session of this.#sessions) session.onPresence(peerId, blockKey(cid), have)
    }
  }

  onBytes(peerId: string, count: number): void {
    this.traffic.received(peerId, count)
    for (const session of this.#sessions) session.onBytes(peerId, count)
  }

  onPeerConnected(peerId: string): void {
    this.traffic.follow(peerId)
    for (const session of this.#sessions) session.onPeerConnected(peerId)
  }

  onPeerDisconnected(peerId: string): void {
    this.#queues.delete(peerId)
    this.traffic.forget(peerId)
    this.#server.forget(peerId)
    for (const session of this.#sessions) session.onPeerDisconnected(peerId)
  }

  onWantsLost(peerId: string): void {
    for (const session of this.#sessions) session.onWantsLost(peerId)
  }

  async connect(source: Source, signal: AbortSignal): Promise<void> {
    if (this.#init.connect === undefined) await this.#network.dial(source, { signal })
    else await this.#init.connect(source, { signal })
    this.#network.adopt(source.peerId)
    this.traffic.follow(source.peerId)
  }

  costs(): { hashMs: number; limitMs: number } {
    return { hashMs: this.#hashMs, limitMs: this.#limits.down?.waitedMs() ?? 0 }
  }

  connectedPeers(): string[] {
    return this.#network.connectedPeers()
  }

  describe(peerId: string): { multiaddr: string; rttMs: number | undefined } | undefined {
    return this.#network.describe(peerId)
  }

  pathOf(multiaddr: string): PeerPath {
    return this.#init.pathOf(multiaddr)
  }

  queueTo(peerId: string): MessageQueue {
    let queue = this.#queues.get(peerId)
    if (queue === undefined) {
      queue = new MessageQueue((message) => this.#network.sendWants(peerId, message))
      this.#queues.set(peerId, queue)
    }
    return queue
  }

  wantedElsewhere(session: BitswapSession, key: BlockKey): boolean {
    for (const other of this.#sessions) if (other !== session && other.wants(key)) return true
    return false
  }

  release(block: Uint8Array): void {
    this.#buffers.give(block)
  }

  keep(block: Uint8Array): void {
    this.#buffers.keep(block)
  }

  closed(session: BitswapSession): void {
    this.#sessions.delete(session)
    this.#ended.add(session)
    setTimeout(() => this.#ended.delete(session), LATE_BLOCKS_MS).unref()
  }

  #receiveBlock(peerId: string, { hashCode, digestBytes, bytes }: PayloadBlock): void {
    const startedAt = this.clock.monotonicMs()
    const digest = digestOf(hashCode, bytes, digestBytes)
    this.#hashMs += this.clock.monotonicMs() - startedAt
    let known = false
    let takers = 0
    if (digest !== undefined) {
      const key = keyOfMultihash(createDigest(hashCode, digest).bytes)
      for (const session of this.#sessions) {
        const arrival = session.onBlock(peerId, key, bytes)
        if (arrival !== 'unsolicited') known = true
        if (arrival === 'wanted') takers++
      }
      // No reason to think ill of a peer that another download asked for it.
      for (const session of this.#ended) known ||= session.hasAskedFor(peerId, key)
    }
    if (takers === 0) this.#buffers.give(bytes)
    if (takers > 1) this.#buffers.keep(bytes)
    if (known) return
    for (const session of this.#sessions) session.onUnsolicited(peerId)
  }
}

function limitsOf({ limits = {}, pathOf }: BitswapInit, clock: Clock): Limits {
  const limiterOf = (bytesPerSecond: number | undefined) =>
    bytesPerSecond === undefined ? undefined : new RateLimiter(bytesPerSecond, clock)
  return {
    up: limiterOf(limits.upBytesPerSecond),
    down: limiterOf(limits.downBytesPerSecond),
    appliesTo: (multiaddr) => limits.lan === true || pathOf(multiaddr) === 'direct',
  }
}
