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
import { Uint8ArrayList } from 'uint8arraylist'
import type { AbortOptions } from '../common/abort.ts'
import type { BufferPool } from '../common/buffer-pool.ts'
import { messageOf, P2PError } from '../common/errors.ts'
import { KiB, MINUTE_MS, SECOND_MS } from '../common/units.ts'
import type { Source } from '../exchange/exchange.ts'
import { decodeMessage, type Message, MessageSplitter } from './message.ts'
import { UnfinishedMessages } from './unfinished-messages.ts'

const BITSWAP_PROTOCOL = '/ipfs/bitswap/1.2.0'

/** Helia opens up to 50 streams at once. */
const MAX_INBOUND_STREAMS = 64
/** Helia aborts a stream ten seconds after the last message on it; ours is replaced well before. */
const WANT_STREAM_IDLE_MS = 5 * SECOND_MS
/** A peer that takes nothing for so long is not read from for replies any more. */
const SEND_STALL_MS = 10 * SECOND_MS
/** boxo's 100 kbit/s; a peer that takes less is not sent to. */
const MIN_SEND_BYTES_PER_SECOND = 12_500
const MAX_SEND_MS = 2 * MINUTE_MS
const MAX_COPIED_BYTES = 64 * KiB

export interface NetworkComponents {
  registrar: Pick<Registrar, 'handle' | 'unhandle' | 'register' | 'unregister'>
  connectionManager: Pick<ConnectionManager, 'openConnection' | 'getConnections'>
  events: TypedEventTarget<Libp2pEvents>
}

export interface NetworkListener {
  onMessage(peerId: string, message: Message): void
  /** Bytes read from the peer's bitswap streams, complete messages or not. */
  onBytes(peerId: string, count: number): void
  onPeerConnected(peerId: string): void
  onPeerDisconnected(peerId: string): void
  /** Wants sent to the peer may not have reached it. */
  onWantsLost(peerId: string): void
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
  readonly #unfinished = new UnfinishedMessages()
  readonly #links = new Map<string, PeerLinks>()
  readonly #onPeerDisconnect = (event: CustomEvent<PeerId>) => this.#forget(event.detail.toString())
  #topologyId: string | undefined

  /** @param buffers - where messages are put together */
  constructor(components: NetworkComponents, listener: NetworkListener, buffers: BufferPool) {
    this.#components = components
    this.#listener = listener
    this.#buffers = buffers
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
    return { multiaddr: withPeerId(connection.remoteAddr.toString(), peerId), rttMs: connection.rtt }
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

  #linksOf(peerId: PeerId): PeerLinks {
    const key = peerId.toString()
    let links = this.#links.get(key)
    if (links === undefined) {
      const open = async () => {
        const connection = this.#connectionOf(key)
        if (connection === undefined) throw new P2PError('network', `Peer ${key} is not connected`)
        return await connection.newStream(BITSWAP_PROTOCOL)
      }
      links = {
        peerId,
        wants: new OutgoingStream(open, WANT_STREAM_IDLE_MS, () => this.#listener.onWantsLost(key)),
        replies: new OutgoingStream(open, Number.POSITIVE_INFINITY, () => {}),
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
    let views = 0
    for (const block of blocks) {
      const { byteLength } = block.bytes
      const isView = byteLength > MAX_COPIED_BYTES && 2 * byteLength * blocks.length > message.byteLength
      if (isView) views++
      else block.bytes = new Uint8Array(block.bytes)
    }
    this.#buffers.split(message, Math.max(1, views))
    if (views === 0) this.#buffers.give(message)
  }

  #receive(stream: Stream, connection: Connection): void {
    const peerId = connection.remotePeer.toString()
    this.#linksOf(connection.remotePeer)
    const splitter = new MessageSplitter((length) => {
      this.#unfinished.begin(peerId, stream, length)
      return this.#buffers.take(length)
    })
    stream.addEventListener('close', () => this.#unfinished.end(peerId, stream))
    const onMessage = (bytes: Uint8Array) => {
      this.#unfinished.end(peerId, stream)
      const message = decodeMessage(bytes)
      this.#detachSmallBlocks(message, bytes)
      this.#listener.onMessage(peerId, message)
    }
    stream.addEventListener('message', ({ data }) => {
      try {
        this.#listener.onBytes(peerId, data.byteLength)
        if (data instanceof Uint8Array) splitter.push(data, onMessage)
        else for (const chunk of data) splitter.push(chunk, onMessage)
      } catch (error) {
        stream.abort(error instanceof Error ? error : new Error(String(error)))
      }
    })
    // Nothing is ever written here. Closed at once, not when the other side closes: that may have happened already,
    // and a stream that is never closed counts against the limit for good.
    stream.close().catch((error) => stream.abort(error))
  }
}

/** A stream to one peer that is opened when it is first written to, and again after it was lost or idle. */
class OutgoingStream {
  readonly #open: () => Promise<Stream>
  readonly #idleMs: number
  readonly #onLost: () => void
  #stream: Stream | undefined
  #lastSendAt = 0
  #tail: Promise<void> = Promise.resolve()
  #closed = false

  constructor(open: () => Promise<Stream>, idleMs: number, onLost: () => void) {
    this.#open = open
    this.#idleMs = idleMs
    this.#onLost = onLost
  }

  /** Sends after whatever was sent before; resolves when the stream can take more. */
  send(pieces: Uint8Array[]): Promise<void> {
    const sent = this.#tail.then(() => this.#sendNow(pieces))
    this.#tail = sent.catch(() => {})
    return sent
  }

  close(): void {
    this.#closed = true
    this.#drop()
  }

  async #sendNow(pieces: Uint8Array[]): Promise<void> {
    if (this.#closed) throw new P2PError('network', 'The peer has gone')
    if (this.#stream !== undefined && performance.now() - this.#lastSendAt > this.#idleMs) this.#drop()
    this.#stream ??= await this.#openStream()
    const stream = this.#stream
    this.#lastSendAt = performance.now()
    try {
      if (!stream.send(new Uint8ArrayList(...pieces))) await drained(stream)
    } catch (error) {
      if (this.#stream === stream) this.#stream = undefined
      throw error
    }
  }

  async #openStream(): Promise<Stream> {
    const stream = await this.#open()
    stream.addEventListener('close', (event) => {
      if (this.#stream !== stream) return
      this.#stream = undefined
      if ((event as { error?: Error }).error !== undefined) this.#onLost()
    })
    // A peer never answers on this stream; whatever it sends is read and dropped.
    stream.addEventListener('message', () => {})
    return stream
  }

  #drop(): void {
    const stream = this.#stream
    this.#stream = undefined
    stream?.close().catch((error) => stream.abort(error))
  }
}

/**
 * Waits until the stream takes more. Its own `onDrain()` resolves at once from the second wait on, since the promise
 * behind it is never renewed.
 */
async function drained(stream: Stream): Promise<void> {
  let waitingBytes = stream.writeBufferLength
  const slowestMs = SEND_STALL_MS + (waitingBytes / MIN_SEND_BYTES_PER_SECOND) * SECOND_MS
  const deadline = performance.now() + Math.min(MAX_SEND_MS, slowestMs)
  while (stream.writableNeedsDrain) {
    const outcome = await nextDrain(stream, SEND_STALL_MS)
    if (outcome === 'closed') throw new P2PError('network', 'The stream was closed while sending')
    const isStalled = outcome === 'stalled' && stream.writeBufferLength >= waitingBytes
    if (isStalled || performance.now() > deadline) {
      const error = new P2PError('network', 'The peer takes what it asked for too slowly')
      stream.abort(error)
      throw error
    }
    waitingBytes = stream.writeBufferLength
  }
}

function nextDrain(stream: Stream, stallMs: number): Promise<'drained' | 'closed' | 'stalled'> {
  return new Promise((resolve) => {
    const finish = (outcome: 'drained' | 'closed' | 'stalled') => {
      clearTimeout(timer)
      stream.removeEventListener('drain', onDrain)
      stream.removeEventListener('close', onClose)
      resolve(outcome)
    }
    // The stream sends what is buffered in a microtask of its own after this event: look again after that.
    const onDrain = () => queueMicrotask(() => queueMicrotask(() => finish('drained')))
    const onClose = () => finish('closed')
    const timer = setTimeout(() => finish('stalled'), stallMs)
    stream.addEventListener('drain', onDrain)
    stream.addEventListener('close', onClose)
  })
}

function withPeerId(address: string, peerId: string): string {
  return address.includes('/p2p/') ? address : `${address}/p2p/${peerId}`
}
