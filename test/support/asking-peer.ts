/** Asks a node for blocks and takes whatever it sends, right or wrong. It shares no code with the exchange under test. */

import '../../src/common/node20.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Libp2p, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { CID } from 'multiformats/cid'
import { MINUTE_MS } from '../../src/common/units.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { BITSWAP_PROTOCOL, frame, readAnswers, takeFrame, wantBlocksOrTold } from './bitswap-frames.ts'
import { rawBlock } from './blocks.ts'
import { until } from './until.ts'

const LIMIT_MS = MINUTE_MS
const AGAIN_MS = 200

interface Answers {
  blocks: Uint8Array[]
  /** Which it said it does not have. */
  missing: CID[]
}

/** @throws DOMException `AbortError` if not everything is answered within a minute */
export async function askForBlocks(server: string, cids: readonly CID[]): Promise<Answers> {
  const peer = await AskingPeer.connect(server)
  try {
    return await peer.ask(cids)
  } finally {
    await peer.stop()
  }
}

export class AskingPeer implements Answers {
  readonly blocks: Uint8Array[] = []
  readonly missing: CID[] = []
  readonly #node: Libp2p
  readonly #stream: Stream

  private constructor(node: Libp2p, stream: Stream) {
    this.#node = node
    this.#stream = stream
  }

  static async connect(server: string): Promise<AskingPeer> {
    const node = await createLibp2p({
      transports: [tcp()],
      connectionEncrypters: [tls()],
      streamMuxers: [yamux()],
      connectionMonitor: { enabled: false },
    })
    try {
      const connection = await node.dial(multiaddr(server))
      const peer = new AskingPeer(node, await connection.newStream(BITSWAP_PROTOCOL))
      await node.handle(BITSWAP_PROTOCOL, (stream) => peer.#receive(stream))
      return peer
    } catch (error) {
      await node.stop()
      throw error
    }
  }

  /** Asks once. @returns what has come when there are as many answers @throws as {@link askForBlocks} */
  async ask(cids: readonly CID[]): Promise<Answers> {
    this.#stream.send(frame(wantBlocksOrTold(cids)))
    const signal = AbortSignal.timeout(LIMIT_MS)
    await until({ signal }, () => this.blocks.length + this.missing.length >= cids.length)
    return this
  }

  /** Asks again and again for what has not come, until it has all come. @throws as {@link askForBlocks} */
  async askUntilGiven(cids: readonly CID[]): Promise<void> {
    const signal = AbortSignal.timeout(LIMIT_MS)
    for (let left = cids; left.length > 0; left = this.#without(cids)) {
      this.#stream.send(frame(wantBlocksOrTold(left)))
      await sleep(AGAIN_MS, undefined, { signal })
    }
  }

  /** Makes one more connection. @throws if the server refuses */
  async connectAgain(server: string): Promise<void> {
    await this.#node.dial(multiaddr(server), { force: true })
  }

  async stop(): Promise<void> {
    await this.#node.stop()
  }

  #without(cids: readonly CID[]): CID[] {
    const given = new Set(this.blocks.map((bytes) => blockKey(rawBlock(bytes).cid)))
    return cids.filter((cid) => !given.has(blockKey(cid)))
  }

  #receive(stream: Stream): void {
    let buffered = Buffer.alloc(0)
    stream.addEventListener('message', ({ data }) => {
      buffered = Buffer.concat([buffered, data.subarray()])
      for (let next = takeFrame(buffered); next !== undefined; next = takeFrame(buffered)) {
        buffered = buffered.subarray(next.end)
        const { blocks, missing } = readAnswers(next.message)
        this.blocks.push(...blocks)
        this.missing.push(...missing)
      }
    })
  }
}
