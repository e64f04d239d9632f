/**
 * Bitswap messages for peers that misbehave: written by hand, so that they share no code with the exchange under test.
 * @see https://specs.ipfs.tech/bitswap-protocol/#bitswap-1-2-0
 */

import { randomBytes } from 'node:crypto'
import { varint } from 'multiformats'
import { CID } from 'multiformats/cid'
import { MiB } from '../../src/common/units.ts'

export const BITSWAP_PROTOCOL = '/ipfs/bitswap/1.2.0'

/** Protobuf wire types. @see https://protobuf.dev/programming-guides/encoding/ */
const VARINT = 0
const BYTES = 2

interface Field {
  number: number
  value: number | Uint8Array
}

export interface Want {
  cid: CID
  kind: 'block' | 'have'
}

/** A message behind its length. */
export function frame(message: Uint8Array): Uint8Array {
  return Buffer.concat([encodeVarint(message.byteLength), message])
}

/** A `wantlist` (1) of `entries` (1), each with the CID as its `block` (1): the default is to want the block. */
export function wantBlocks(cids: Iterable<CID>): Uint8Array {
  return bytesField(1, Buffer.concat([...cids].map((cid) => bytesField(1, bytesField(1, cid.bytes)))))
}

/** As {@link wantBlocks}, each with `sendDontHave` (5). */
export function wantBlocksOrTold(cids: Iterable<CID>): Uint8Array {
  const entry = (cid: CID) => bytesField(1, Buffer.concat([bytesField(1, cid.bytes), Buffer.of((5 << 3) | VARINT, 1)]))
  return bytesField(1, Buffer.concat([...cids].map(entry)))
}

/** `blockPresences` (4) with `cid` (1) and `type` (2) = Have (0, the default, not written). */
export function havePresence(cid: CID): Uint8Array {
  return bytesField(4, bytesField(1, cid.bytes))
}

/**
 * `payload` (3) with `prefix` (1) as it has to be for the CID, and as `data` (2) bytes that have nothing to do with it,
 * as long as a leaf of a file usually is.
 */
export function wrongBlock(cid: CID): Uint8Array {
  const prefix = Buffer.concat([cid.version, cid.code, cid.multihash.code, cid.multihash.size].map(encodeVarint))
  return bytesField(3, Buffer.concat([bytesField(1, prefix), bytesField(2, randomBytes(MiB))]))
}

/** The wants of a message: `wantlist` (1), in it `entries` (1). Cancels are left out. */
export function readWants(message: Uint8Array): Want[] {
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

/** What was sent of what was wanted: `data` (2) of each `payload` (3), and `cid` (1) of `blockPresences` (4) with `type` (2) = DontHave. */
export function readAnswers(message: Uint8Array): { blocks: Uint8Array[]; missing: CID[] } {
  const blocks = subMessages(message, 3).flatMap((payload) => subMessages(payload, 2))
  const presences = subMessages(message, 4).map(
    (presence) => new Map(readFields(presence).map(({ number, value }) => [number, value])),
  )
  const missing = presences
    .filter((fields) => fields.get(2) === 1)
    .map((fields) => CID.decode(fields.get(1) as Uint8Array))
  return { blocks, missing }
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
export function takeFrame(buffered: Uint8Array): { message: Uint8Array; end: number } | undefined {
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
