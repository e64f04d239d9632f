/**
 * A pack: small blocks one after the other in a file that only grows. It is a CAR file without roots, each block under a
 * raw CID, so that what is in it can be found again without the index, by this program or any other. Used by
 * `pack-store.ts` and `pack-writer.ts`.
 * @see https://ipld.io/specs/transport/car/carv1/
 */

import { CID } from 'multiformats/cid'
import { varintLength, writeVarint } from '../common/protobuf.ts'
import { KiB } from '../common/units.ts'
import { matchesCid, whyRefused } from '../dag/block.ts'
import { type BlockKey, blockKey, MAX_CID_BYTES, RAW } from '../dag/cid.ts'

/** Blocks up to here are packed; any other is a file of its own. */
export const MAX_PACKED_BYTES = 64 * KiB

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

/** The records of some blocks, and where in them the bytes of each block begin. */
export function encodeRecords(blocks: readonly PackedBlock[]): { records: Uint8Array; offsets: number[] } {
  const byteCount = blocks.reduce((sum, { key, bytes }) => sum + recordLength(key, bytes.byteLength), 0)
  const records = Buffer.allocUnsafeSlow(byteCount)
  const offsets: number[] = []
  let at = 0
  for (const { key, bytes } of blocks) {
    at = writeVarint(records, at, recordContentLength(key, bytes.byteLength))
    records.set(CID_PREFIX, at)
    at += CID_PREFIX.byteLength
    at += records.write(key, at, 'latin1')
    offsets.push(at)
    records.set(bytes, at)
    at += bytes.byteLength
  }
  return { records, offsets }
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
