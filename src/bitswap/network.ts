/**
 * Bitswap's only contact with libp2p: which peers are connected, messages in, messages out. Per peer one stream is kept
 * for wants and one for replies, so that a want never waits behind blocks; peers may open as many short ones as the
 * limit allows, as Helia does.
 *
 * Nothing is queued on the way in: a message is decoded and handed over as soon as its last byte is here, so a slow
 * receiver slows its socket. On the way out a send resolves when the stream below has taken most of it.
 */

import type { Connection, Libp2pEvents, PeerId, Stream, TypedEventTarget } from '@libp2p/interface'
import type { ConnectionManager, Registrar } from '@libp2p/interface-internal'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { AbortOptions } from '../common/abort.ts'
import type { BufferPool } from '../common/buffer-pool.ts'
import { messageOf, P2PError } from '../common/errors.ts'
import type { RateLimiter } from '../common/rate-limiter.ts'
import { KiB, SECOND_MS } from '../common/units.ts'
import type { Source } from '../exchange/exchange.ts'
import { receiveFrom } from './incoming-stream.ts'
import { decodeMessage, type Message, MessageSplitter } from './message.ts'
import { OutgoingStream } from './outgoing-stream.ts'
import { UnfinishedMessages } from './unfinished-messages.ts'

const BITSWAP_PROTOCOL = '/ipfs/bitswap/1.2.0'

/** Helia opens up to 50 streams at once. */
const MAX_INBOUND_STREAMS = 64
/** Helia aborts a stream ten seconds after the last message on it; ours is replaced well before. */
const WANT_STREAM_IDLE_MS = 5 * SECOND_MS
const MAX_COPIED_BYTES = 64 * KiB

export interface NetworkComponents {
  registrar: Pick<Registrar, 'handle' | 'unhandle' | 'register' | 'unregister'>
  connectionManager: Pick<ConnectionManager, 'openConnection' | 'getConnections'>
  events: TypedEventTarget<Libp2pEvents>
}

export interface NetworkListener {
  /** Whether blocks are of use now; without it messages come without theirs. */
  readonly takesBlocks: boolean
  onMessage(peerId: string, message: Message): void
  /** Bytes read from the peer's bitswap streams, complete messages or not. */
  onBytes(peerId: string, count: number): void
  onPeerConnected(peerId: string): void
  onPeerDisconnected(peerId: string): void
  /** Wants sent to the peer may not have reached it. */
  onWantsLost(peerId: string): void
}

/** What holds the traffic with peers to a rate, all of them together. */
export interface Limits {
  /** Blocks that are sent. */
  up: RateLimiter | undefined
  /** Everything that is received. */
  down: RateLimiter | undefined
  /** Whether a peer at this address is held to them. */
  appliesTo: (multiaddr: string) => boolean
}

interface PeerLinks {
  peerId: PeerId
  wants: OutgoingStream
  replies: OutgoingStream
}

export class BitswapNetwork {
  readonly #components: NetworkComponents
  readonly #listener: NetworkListener
  readonly #buffers: BufferPool
  readonly #limits: Limits
  readonly #unfinished = new UnfinishedMessages()
  readonly #links = new Map<string, PeerLinks>()
  readonly #onPeerDisconnect = (event: CustomEvent<PeerId>) => this.#forget(event.detail.toString())
  #topologyId: string | undefined

  /** @param buffers - where messages are put together */
  constructor(components: NetworkComponents, listener: NetworkListener, buffers: BufferPool, limits: Limits) {
    this.#components = components
    this.#listener = listener
    this.#buffers = buffers
    this.#limits = limits
  }

  async start(): Promise<void> {
    const { registrar } = this.#components
    await registrar.handle(BITSWAP_PROTOCOL, (stream, connection) => this.#receive(stream, connection), {
      maxInboundStreams: MAX_INBOUND_STREAMS,
    })
    this.#topologyId = await registrar.register(BITSWAP_PROTOCOL, {
      onConnect: (peerId) => {
        this.#linksOf(peerId)
        this.#listener.onPeerConnected(peerId.toString())
      },
    })
    // Not the topology's own `onDisconnect`: it is not called for a peer that left before it was identified.
    this.#components.events.addEventListener('peer:disconnect', this.#onPeerDisconnect)
  }

  async stop(): Promise<void> {
    const { registrar, events } = this.#components
    events.removeEventListener('peer:disconnect', this.#onPeerDisconnect)
    if (this.#topologyId !== undefined) registrar.unregister(this.#topologyId)
    await registrar.unhandle(BITSWAP_PROTOCOL)
    for (const peerId of [...this.#links.keys()]) this.#forget(peerId)
  }

  /** Peers that are connected and speak bitswap. */
  connectedPeers(): string[] {
    return [...this.#links.keys()].filter((peerId) => this.#connectionOf(peerId) !== undefined)
  }

  /** The address in use and the measured round trip, if the peer is connected. */
  describe(peerId: string): { multiaddr: string; rttMs: number | undefined } | undefined {
    const connection = this.#connectionOf(peerId)
    if (connection === undefined) return undefined
    return { multiaddr: withPeerId(connection.remoteAddr.toString(), peerId), rttMs: roundTripMs(connection) }
  }

  /**
   * Notes a peer that was dialled, which is asked without waiting to be identified.
   *
   * @throws P2PError `network` if it is not connected
   */
  adopt(peerId: string): void {
    this.#linksOf(peerIdFromString(peerId))
    if (this.#connectionOf(peerId) === undefined) {
      this.#links.delete(peerId)
      throw new P2PError('network', `Peer ${peerId} is not connected`)
    }
  }

  /** Connects to a source with libp2p's own dialler, or finds it connected. */
  async dial({ peerId, multiaddrs }: Source, { signal }: AbortOptions): Promise<void> {
    const target = multiaddrs.length > 0 ? multiaddrs.map((text) => multiaddr(text)) : peerIdFromString(peerId)
    try {
      await this.#components.connectionManager.openConnection(target, { ...(signal && { signal }) })
    } catch (cause) {
      signal?.throwIfAborted()
      throw new P2PError('network', `Cannot reach peer ${peerId}: ${messageOf(cause)}`, { cause })
    }
  }

  /** Sends wants or cancels. Failures come back as {@link NetworkListener.onWantsLost}. */
  sendWants(peerId: string, message: Uint8Array): void {
    const links = this.#links.get(peerId)
    if (links === undefined) return
    links.wants.send([message]).catch(() => this.#listener.onWantsLost(peerId))
  }

  /**
   * Sends a reply; resolves when the peer's stream can take more.
   *
   * @throws if the peer has gone, or takes nothing for {@link SEND_STALL_MS}
   */
  async sendReply(peerId: string, pieces: Uint8Array[]): Promise<void> {
    const links = this.#links.get(peerId)
    if (links === undefined) throw new P2PError('network', `Peer ${peerId} has gone`)
    await links.replies.send(pieces)
  }

  #connectionOf(peerId: string): Connection | undefined {
    const links = this.#links.get(peerId)
    if (links === undefined) return undefined
    return this.#components.connectionManager.getConnections(links.peerId).find(({ status }) => status === 'open')
  }

  #appliesTo({ remoteAddr }: Connection): boolean {
    return this.#limits.appliesTo(remoteAddr.toString())
  }

  #linksOf(peerId: PeerId): PeerLinks {
    const key = peerId.toString()
    let links = this.#links.get(key)
    if (links === undefined) {
      const open = async (limiter?: RateLimiter) => {
        const connection = this.#connectionOf(key)
        if (connection === undefined) throw new P2PError('network', `Peer ${key} is not connected`)
        return {
          stream: await connection.newStream(BITSWAP_PROTOCOL),
          limiter: this.#appliesTo(connection) ? limiter : undefined,
        }
      }
      const { up } = this.#limits
      links = {
        peerId,
        // A want is small, and held back it would cost the rate of the other direction.
        wants: new OutgoingStream(open, {
          idleMs: WANT_STREAM_IDLE_MS,
          onLost: () => this.#listener.onWantsLost(key),
        }),
        replies: new OutgoingStream(() => open(up), { failsTogether: true }),
      }
      this.#links.set(key, links)
    }
    return links
  }

  #forget(peerId: string): void {
    const links = this.#links.get(peerId)
    if (links === undefined) return
    this.#links.delete(peerId)
    links.wants.close()
    links.replies.close()
    this.#listener.onPeerDisconnected(peerId)
  }

  /**
   * Copies blocks that are small, by themselves or against their message: as views they would hold on to memory that no
   * count of theirs shows.
   */
  #detachSmallBlocks({ blocks }: Message, message: Uint8Array): void {
    let viewBytes = 0
    for (const block of blocks) {
      const { byteLength } = block.bytes
      const isView = byteLength > MAX_COPIED_BYTES && 2 * byteLength * blocks.length > message.byteLength
      if (isView) viewBytes += byteLength
      else block.bytes = new Uint8Array(block.bytes)
    }
    this.#buffers.lend(message, viewBytes)
    if (viewBytes === 0) this.#buffers.give(message)
  }

  #receive(stream: Stream, connection: Connection): void {
    const peerId = connection.remotePeer.toString()
    // Whoever opens a stream is about to ask for something.
    this.#linksOf(connection.remotePeer).replies.prepare()
    const splitter = new MessageSplitter((length) => {
      this.#unfinished.begin(peerId, stream, length)
      return this.#buffers.take(length)
    })
    stream.addEventListener('close', () => this.#unfinished.end(peerId, stream))
    const onMessage = (bytes: Uint8Array) => {
      this.#unfinished.end(peerId, stream)
      const message = decodeMessage(bytes)
      if (!this.#listener.takesBlocks) message.blocks = []
      this.#detachSmallBlocks(message, bytes)
      this.#listener.onMessage(peerId, message)
    }
    const limiter = this.#appliesTo(connection) ? this.#limits.down : undefined
    receiveFrom(stream, limiter, (bytes) => {
      this.#listener.onBytes(peerId, bytes.byteLength)
      splitter.push(bytes, onMessage)
    })
    // Nothing is ever written here. Closed at once, not when the other side closes: that may have happened already,
    // and a stream that is never closed counts against the limit for good.
    stream.close().catch((error) => stream.abort(error))
  }
}

/** libp2p measures it every ten seconds, yamux once at the start, which the connection's type does not tell. */
function roundTripMs(connection: Connection): number | undefined {
  if (connection.rtt !== undefined) return connection.rtt
  const { muxer } = connection as { muxer?: { getRTT?(): number } }
  const rttMs = muxer?.getRTT?.() ?? -1
  return rttMs < 0 ? undefined : rttMs
}

function withPeerId(address: string, peerId: string): string {
  return address.includes('/p2p/') ? address : `${address}/p2p/${peerId}`
}
