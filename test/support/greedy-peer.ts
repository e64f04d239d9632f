/** A libp2p node that takes of a server what it can get: streams without end, and replies that it does not read. */

import '../../src/common/node20.ts'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { BITSWAP_PROTOCOL } from './bitswap-frames.ts'
import { type CleanUpScope, cleanUpAfter } from './clean-up.ts'

/** Beyond any limit of a server. */
const MAX_STREAMS = 10_000

export class GreedyPeer {
  /** Streams that the server has opened to send blocks; nothing is read from them. */
  readonly replies: Stream[] = []
  readonly #node: Libp2p
  readonly #connection: Connection

  private constructor(node: Libp2p, connection: Connection) {
    this.#node = node
    this.#connection = connection
  }

  /** Connects to the server. */
  static async start(server: string): Promise<GreedyPeer> {
    const node = await createLibp2p({
      transports: [tcp()],
      connectionEncrypters: [tls()],
      streamMuxers: [yamux({ maxOutboundStreams: MAX_STREAMS })],
      connectionMonitor: { enabled: false },
    })
    const peer = new GreedyPeer(node, await node.dial(multiaddr(server)))
    await node.handle(BITSWAP_PROTOCOL, (stream) => {
      stream.pause()
      peer.replies.push(stream)
    })
    return peer
  }

  async stop(): Promise<void> {
    await this.#node.stop()
  }

  get isConnected(): boolean {
    return this.#connection.status === 'open'
  }

  /** @throws if the server refuses */
  async openStream(): Promise<Stream> {
    return await this.#connection.newStream(BITSWAP_PROTOCOL, { maxOutboundStreams: MAX_STREAMS })
  }
}

/** Starts a peer that ends with the scope. */
export async function startGreedyPeer(scope: CleanUpScope, server: string): Promise<GreedyPeer> {
  const peer = await GreedyPeer.start(server)
  cleanUpAfter(scope, () => peer.stop())
  return peer
}
