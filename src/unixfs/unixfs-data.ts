/**
 * The UnixFS message, which a dag-pb node carries as its data: what the node is, and how large. Written as Kubo writes
 * it, fields ascending, so that equal nodes get equal CIDs. Used by `node-writer.ts` (write) and `decode.ts` (read).
 * @see https://specs.ipfs.tech/unixfs/#data-field
 */

import { P2PError } from '../common/errors.ts'
import {
  bytesFieldLength,
  ProtobufReader,
  varintFieldLength,
  WIRE_BYTES,
  WIRE_FIXED32,
  WIRE_VARINT,
  writeBytesField,
  writeVarintField,
} from '../common/protobuf.ts'

/** In the order of their numbers on the wire. */
const TYPES = ['raw', 'directory', 'file', 'metadata', 'symlink', 'hamt-shard'] as const

type UnixfsType = (typeof TYPES)[number]

/** Seconds since 1970, negative before, and nanoseconds (0 to 999,999,999) after them. */
export interface Mtime {
  seconds: number
  nanoseconds: number
}

/** What a file, folder or symlink may say about itself. */
export interface Metadata {
  /** Permission bits with setuid, setgid and sticky, up to 0o7777; not written if 0. */
  mode?: number | undefined
  mtime?: Mtime | undefined
}

export interface UnixfsData extends Metadata {
  type: UnixfsType
  /** File content, a symlink's target, or a HAMT shard's bitfield. */
  data?: Uint8Array | undefined
  /** Bytes of content below and in this node. Written even if 0; leave it out for all but files. */
  fileSize?: number | undefined
  /** Bytes of content below each link of a file. */
  blockSizes: number[]
  hashType?: number | undefined
  fanout?: number | undefined
}

const FIELD = { type: 1, data: 2, fileSize: 3, blockSizes: 4, hashType: 5, fanout: 6, mode: 7, mtime: 8 } as const
const MTIME_FIELD = { seconds: 1, nanoseconds: 2 } as const
const MAX_NANOSECONDS = 999_999_999

export function encodeUnixfs(node: UnixfsData): Uint8Array {
  const fields = [varintField(FIELD.type, TYPES.indexOf(node.type))]
  if (node.data !== undefined && node.data.length > 0) fields.push(bytesField(FIELD.data, node.data))
  if (node.fileSize !== undefined) fields.push(varintField(FIELD.fileSize, node.fileSize))
  for (const size of node.blockSizes) fields.push(varintField(FIELD.blockSizes, size))
  if (node.hashType !== undefined) fields.push(varintField(FIELD.hashType, node.hashType))
  if (node.fanout !== undefined) fields.push(varintField(FIELD.fanout, node.fanout))
  if (node.mode) fields.push(varintField(FIELD.mode, node.mode))
  if (node.mtime !== undefined) fields.push(bytesField(FIELD.mtime, encodeMtime(node.mtime)))
  return Buffer.concat(fields)
}

function encodeMtime({ seconds, nanoseconds }: Mtime): Uint8Array {
  const fields = [seconds < 0 ? negativeField(MTIME_FIELD.seconds, seconds) : varintField(MTIME_FIELD.seconds, seconds)]
  if (nanoseconds > 0) {
    const field = Buffer.alloc(5)
    field[0] = MTIME_FIELD.nanoseconds * 8 + WIRE_FIXED32
    field.writeUInt32LE(nanoseconds, 1)
    fields.push(field)
  }
  return Buffer.concat(fields)
}

function varintField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(varintFieldLength(value))
  writeVarintField(bytes, 0, field, value)
  return bytes
}

function bytesField(field: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(bytesFieldLength(value.length))
  writeBytesField(bytes, 0, field, value)
  return bytes
}

/** An int64 below zero is written as its two's complement in 64 bits, which takes ten bytes. */
function negativeField(field: number, value: number): Uint8Array {
  const bytes = [field * 8 + WIRE_VARINT]
  let rest = BigInt.asUintN(64, BigInt(value))
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80)
  bytes.push(Number(rest))
  return Uint8Array.from(bytes)
}

/**
 * Reads a UnixFS message. Fields that are not known are passed over, of repeated ones the last holds, and `data` is a
 * view of `bytes`.
 *
 * @throws P2PError `bad-data`
 */
export function decodeUnixfs(bytes: Uint8Array): UnixfsData {
  const reader = new ProtobufReader(bytes)
  let typeNumber: number | undefined
  const node: Omit<UnixfsData, 'type'> = { blockSizes: [] }
  while (reader.nextField()) {
    if (reader.field === FIELD.type) typeNumber = readInteger(reader)
    else if (reader.field === FIELD.data) node.data = readBytes(reader)
    else if (reader.field === FIELD.fileSize) node.fileSize = readInteger(reader)
    else if (reader.field === FIELD.blockSizes) readBlockSizes(reader, node.blockSizes)
    else if (reader.field === FIELD.hashType) node.hashType = readInteger(reader)
    else if (reader.field === FIELD.fanout) node.fanout = readInteger(reader)
    else if (reader.field === FIELD.mode) node.mode = readInteger(reader)
    else if (reader.field === FIELD.mtime) node.mtime = decodeMtime(readBytes(reader))
    else reader.skip()
  }
  const type = typeNumber === undefined ? undefined : TYPES[typeNumber]
  if (type === undefined) throw new P2PError('bad-data', `UnixFS node of type ${typeNumber ?? '(none)'}`)
  return { type, ...node }
}

function decodeMtime(bytes: Uint8Array): Mtime {
  const reader = new ProtobufReader(bytes)
  const mtime: Mtime = { seconds: 0, nanoseconds: 0 }
  while (reader.nextField()) {
    if (reader.field === MTIME_FIELD.seconds) {
      reader.expect(WIRE_VARINT)
      mtime.seconds = safeInteger(Number(reader.bigVarint()))
    } else if (reader.field === MTIME_FIELD.nanoseconds) {
      reader.expect(WIRE_FIXED32)
      mtime.nanoseconds = reader.fixed32()
    } else reader.skip()
  }
  if (mtime.nanoseconds > MAX_NANOSECONDS) {
    throw new P2PError('bad-data', `UnixFS mtime with ${mtime.nanoseconds} nanoseconds`)
  }
  return mtime
}

/** Protobuf lets a writer put repeated numbers one by one or packed. */
function readBlockSizes(reader: ProtobufReader, into: number[]): void {
  if (reader.wire !== WIRE_BYTES) {
    into.push(readInteger(reader))
    return
  }
  const packed = reader.bytes()
  const numbers = new ProtobufReader(packed)
  // A byte below 128 ends a number.
  for (const byte of packed) if (byte < 0x80) into.push(safeInteger(numbers.varint()))
  if ((packed.at(-1) ?? 0) >= 0x80) throw new P2PError('bad-data', 'UnixFS block sizes that end within a number')
}

function readInteger(reader: ProtobufReader): number {
  reader.expect(WIRE_VARINT)
  return safeInteger(reader.varint())
}

function readBytes(reader: ProtobufReader): Uint8Array {
  reader.expect(WIRE_BYTES)
  return reader.bytes()
}

function safeInteger(value: number): number {
  if (!Number.isSafeInteger(value)) throw new P2PError('bad-data', 'UnixFS number beyond 2^53')
  return value
}
