/**
 * A libp2p node that lies: it says that it has every block, and answers every want with bytes that are not the block.
 * It shares no code with the exchange under test; its frames are written here, by hand.
 * @see https://specs.ipfs.tech/bitswap-protocol/#bitswap-1-2-0
 */

import '../../src/common/node20.ts'
import { randomBytes } from 'node:crypto'
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { varint } from 'multiformats'
import { CID } from 'multiformats/cid'
import { MiB } from '../../src/common/units.ts'
import { type CleanUpScope, cleanUpAfter } from './clean-up.ts'

const BITSWAP_PROTOCOL = '/ipfs/bitswap/1.2.0'

/** Protobuf wire types. @see https://protobuf.dev/programming-guides/encoding/ */
const VARINT = 0
const BYTES = 2

interface Field {
  number: number
  value: number | Uint8Array
}

interface Want {
  cid: CID
  kind: 'block' | 'have'
}

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
      for (let frame = takeFrame(buffered); frame !== undefined; frame = takeFrame(buffered)) {
        buffered = buffered.subarray(frame.end)
        // A reply that cannot be sent is lost: the other side has hung up.
        this.#reply(connection, readWants(frame.message)).catch(() => {})
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
      if (!stream.send(Buffer.concat([encodeVarint(message.byteLength), message]))) await stream.onDrain()
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

/** `blockPresences` (4) with `cid` (1) and `type` (2) = Have (0, the default, not written). */
function havePresence(cid: CID): Uint8Array {
  return bytesField(4, bytesField(1, cid.bytes))
}

/**
 * `payload` (3) with `prefix` (1) as it has to be for the CID, and as `data` (2) bytes that have nothing to do with it,
 * as long as a leaf of a file usually is.
 */
function wrongBlock(cid: CID): Uint8Array {
  const prefix = Buffer.concat([cid.version, cid.code, cid.multihash.code, cid.multihash.size].map(encodeVarint))
  return bytesField(3, Buffer.concat([bytesField(1, prefix), bytesField(2, randomBytes(MiB))]))
}

/** The wants of a message: `wantlist` (1), in it `entries` (1). Cancels are left out. */
function readWants(message: Uint8Array): Want[] {
  const wants: Want[] = []
  for (const wantlist of subMessages(message, 1)) {
    for (const entry of subMessages(wantlist, 1)) {
      const fields = new Map(readFields(entry).map(({ number, value }) => [number, value]))
      const block = fields.get(1)
      if (!(block instanceof Uint8Array) || fields.get(3) === 1) continue
      wants.push({ cid: CID.decode(block), kind: fields.get(4) === 1 ? 'have' : 'block' })
    }
  }
  return wants
}

function subMessages(message: Uint8Array, fieldNumber: number): Uint8Array[] {
  return readFields(message).flatMap(({ number, value }) =>
    number === fieldNumber && value instanceof Uint8Array ? [value] : [],
  )
}

function readFields(message: Uint8Array): Field[] {
  const fields: Field[] = []
  for (let offset = 0; offset < message.byteLength; ) {
    const [key, keyBytes] = varint.decode(message, offset)
    const [value, valueBytes] = varint.decode(message, offset + keyBytes)
    offset += keyBytes + valueBytes
    if ((key & 7) === VARINT) {
      fields.push({ number: key >> 3, value })
    } else {
      fields.push({ number: key >> 3, value: message.subarray(offset, offset + value) })
      offset += value
    }
  }
  return fields
}

/** The first length-prefixed message of the buffer, or undefined while it is not whole. */
function takeFrame(buffered: Uint8Array): { message: Uint8Array; end: number } | undefined {
  if (!buffered.subarray(0, 10).some((byte) => byte < 0x80)) return undefined
  const [length, prefixBytes] = varint.decode(buffered)
  const end = prefixBytes + length
  return buffered.byteLength < end ? undefined : { message: buffered.subarray(prefixBytes, end), end }
}

function bytesField(number: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([encodeVarint((number << 3) | BYTES), encodeVarint(bytes.byteLength), bytes])
}

function encodeVarint(value: number): Uint8Array {
  return varint.encodeTo(value, new Uint8Array(varint.encodingLength(value)))
}
