/**
 * A pack: blocks one after the other in a file that only grows. It is a CAR file without roots, each block under a
 * raw CID, so that what is in it can be found again without the index, by this program or any other. Used by
 * `pack-store.ts` and `pack-writer.ts`.
 * @see https://ipld.io/specs/transport/car/carv1/
 */

import { CID } from 'multiformats/cid'
import { varintLength, writeVarint } from '../common/protobuf.ts'
import { KiB } from '../common/units.ts'
import { MAX_BLOCK_BYTES, matchesCid, whyRefused } from '../dag/block.ts'
import { type BlockKey, blockKey, MAX_CID_BYTES, RAW } from '../dag/cid.ts'

/** Blocks up to here are packed; any other, which no peer would take, is a file of its own. */
export const MAX_PACKED_BYTES = MAX_BLOCK_BYTES
/** Larger ones are written from where they are: out of memory that threads share, copying takes as long as hashing. */
const MAX_COPIED_BYTES = 16 * KiB

/** Where the bytes of a block lie. */
export interface PackPlace {
  /** The number of the pack. */
  pack: number
  offset: number
  length: number
}

export interface PackedBlock {
  key: BlockKey
  bytes: Uint8Array
}

/** The length of the header, and in DAG-CBOR `{ "roots": [], "version": 1 }`. */
export const PACK_HEADER: Uint8Array = Buffer.from('\x11\xa2\x65roots\x80\x67version\x01', 'latin1')

const CID_PREFIX = Uint8Array.of(1, RAW)

/** The bytes that a block takes in a pack. */
export function recordLength(key: BlockKey, blockBytes: number): number {
  const length = recordContentLength(key, blockBytes)
  return varintLength(length) + length
}

function recordContentLength(key: BlockKey, blockBytes: number): number {
  return CID_PREFIX.byteLength + key.length + blockBytes
}

export interface EncodedRecords {
  /** To be written one after the other. */
  pieces: Uint8Array[]
  byteCount: number
  /** Where in them the bytes of each block begin. */
  offsets: number[]
}

/** The records of some blocks. */
export function encodeRecords(blocks: readonly PackedBlock[]): EncodedRecords {
  const copiedBytes = blocks.reduce((sum, { key, bytes }) => {
    return sum + recordLength(key, bytes.byteLength) - (isCopied(bytes) ? 0 : bytes.byteLength)
  }, 0)
  const copied = Buffer.allocUnsafe(copiedBytes)
  const pieces: Uint8Array[] = []
  const offsets: number[] = []
  let at = 0
  /** Up to here it is in the pieces; so many bytes of others are between. */
  let [taken, others] = [0, 0]
  for (const { key, bytes } of blocks) {
    at = writeVarint(copied, at, recordContentLength(key, bytes.byteLength))
    copied.set(CID_PREFIX, at)
    at += CID_PREFIX.byteLength
    at += copied.write(key, at, 'latin1')
    offsets.push(at + others)
    if (isCopied(bytes)) {
      copied.set(bytes, at)
      at += bytes.byteLength
    } else {
      pieces.push(copied.subarray(taken, at), bytes)
      taken = at
      others += bytes.byteLength
    }
  }
  pieces.push(copied.subarray(taken))
  return { pieces, byteCount: at + others, offsets }
}

function isCopied({ byteLength }: Uint8Array): boolean {
  return byteLength <= MAX_COPIED_BYTES
}

/**
 * The blocks whose records are whole and match, in their order, with the offsets of their bytes from the start of
 * `records`.
 *
 * @returns where the last whole record ends
 */
export function* decodeRecords(records: Uint8Array): Generator<Omit<PackPlace, 'pack'> & { key: BlockKey }, number> {
  let at = 0
  while (at < records.byteLength) {
    const record = recordAt(records, at)
    if (record === undefined) break
    const { cid, block, end } = record
    at = end
    if (whyRefused(cid) === undefined && matchesCid(cid, block)) {
      yield { key: blockKey(cid), offset: end - block.byteLength, length: block.byteLength }
    }
  }
  return at
}

function recordAt(records: Uint8Array, at: number): { cid: CID; block: Uint8Array; end: number } | undefined {
  let length = 0
  let start = at
  for (let scale = 1; ; scale *= 128) {
    const byte = records[start++]
    if (byte === undefined || scale > MAX_PACKED_BYTES) return undefined
    length += (byte & 0x7f) * scale
    if (byte < 0x80) break
  }
  const end = start + length
  if (length > MAX_PACKED_BYTES + MAX_CID_BYTES || end > records.byteLength) return undefined
  try {
    const [cid, block] = CID.decodeFirst(records.subarray(start, end))
    return { cid, block, end }
  } catch {
    return undefined
  }
}

const PLACE_BYTES = 12

export function encodePlace({ pack, offset, length }: PackPlace): Uint8Array {
  const bytes = Buffer.allocUnsafe(PLACE_BYTES)
  bytes.writeUInt32BE(pack, 0)
  bytes.writeUInt32BE(offset, 4)
  bytes.writeUInt32BE(length, 8)
  return bytes
}

export function decodePlace(bytes: Uint8Array): PackPlace {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return { pack: view.getUint32(0), offset: view.getUint32(4), length: view.getUint32(8) }
}
