/**
 * A libp2p node that lies: it says that it has every block, and answers every want with bytes that are not the block.
 * It shares no code with the exchange under test.
 */

import '../../src/common/node20.ts'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { BITSWAP_PROTOCOL, frame, havePresence, readWants, takeFrame, type Want, wrongBlock } from './bitswap-frames.ts'
import { type CleanUpScope, cleanUpAfter } from './clean-up.ts'

export class HostilePeer {
  /** CIDs that it was asked to send. */
  readonly wanted = new Set<string>()
  /** Blocks of wrong bytes that it sent. */
  wrongBlocks = 0
  readonly #node: Libp2p
  /** One reply stream for each connection, opened when the first want arrives. */
  readonly #replyStreams = new Map<Connection, Promise<Stream>>()

  constructor(node: Libp2p) {
    this.#node = node
  }

  async start(): Promise<void> {
    await this.#node.handle(BITSWAP_PROTOCOL, (stream, connection) => this.#read(stream, connection))
    await this.#node.start()
  }

  async stop(): Promise<void> {
    await this.#node.stop()
  }

  get peerId(): string {
    return this.#node.peerId.toString()
  }

  /** Where it can be dialled, ending in its peer id. */
  get multiaddr(): string {
    return this.#node.getMultiaddrs()[0]?.toString() ?? ''
  }

  #read(stream: Stream, connection: Connection): void {
    let buffered = Buffer.alloc(0)
    stream.addEventListener('message', ({ data }) => {
      buffered = Buffer.concat([buffered, data.subarray()])
      for (let next = takeFrame(buffered); next !== undefined; next = takeFrame(buffered)) {
        buffered = buffered.subarray(next.end)
        // A reply that cannot be sent is lost: the other side has hung up.
        this.#reply(connection, readWants(next.message)).catch(() => {})
      }
    })
  }

  async #reply(connection: Connection, wants: Want[]): Promise<void> {
    let opening = this.#replyStreams.get(connection)
    if (opening === undefined) {
      opening = connection.newStream(BITSWAP_PROTOCOL)
      this.#replyStreams.set(connection, opening)
    }
    const stream = await opening
    for (const { cid, kind } of wants) {
      if (kind === 'block') {
        this.wanted.add(cid.toString())
        this.wrongBlocks++
      }
      const message = kind === 'have' ? havePresence(cid) : wrongBlock(cid)
      if (!stream.send(frame(message))) await stream.onDrain()
    }
  }
}

/** Starts a hostile peer on 127.0.0.1 that ends with the scope. */
export async function startHostilePeer(scope: CleanUpScope): Promise<HostilePeer> {
  const node = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [tls()],
    streamMuxers: [yamux()],
    services: { identify: identify() },
    start: false,
  })
  const peer = new HostilePeer(node)
  await peer.start()
  cleanUpAfter(scope, () => peer.stop())
  return peer
}
