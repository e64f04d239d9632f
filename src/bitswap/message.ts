/**
 * The bitswap 1.2.0 message: to bytes, from bytes, and out of a stream of bytes. Pure; `network.ts` moves the bytes.
 * @see https://specs.ipfs.tech/bitswap-protocol/#bitswap-1-2-0-wire-format
 */

import { CID } from 'multiformats/cid'
import { P2PError } from '../common/errors.ts'
import {
  bytesFieldLength,
  ProtobufReader,
  varintFieldLength,
  varintLength,
  WIRE_BYTES,
  WIRE_VARINT,
  writeBytesField,
  writeVarint,
  writeVarintField,
} from '../common/protobuf.ts'
import { KiB, MiB } from '../common/units.ts'
import { MAX_CID_BYTES } from '../dag/cid.ts'

/** What boxo accepts; a length above it is refused before anything is buffered. */
export const MAX_MESSAGE_BYTES = 4 * MiB

/** What a TLS record holds: copying less than that is cheaper than sending it by itself. */
const SMALL_PIECE_BYTES = 16 * KiB
const JOINED_PIECE_BYTES = 64 * KiB

/**
 * Wants, presences and blocks of one message that are read, each; the others are passed over. A peer's wantlist is kept
 * to 1,024, and a message can hold 90,000 wants, which take a second to decode, and two million empty blocks.
 */
const MAX_ENTRIES = 4096

export const WANT_BLOCK = 0
export const WANT_HAVE = 1
export type WantType = typeof WANT_BLOCK | typeof WANT_HAVE

export interface WantEntry {
  cid: CID
  cancel: boolean
  wantType: WantType
  /** Higher is sooner; int32. */
  priority: number
  sendDontHave: boolean
}

/** A block as it travels: its CID less the digest, which the receiver works out itself. */
export interface PayloadBlock {
  version: number
  codec: number
  hashCode: number
  /** Length of the digest. */
  digestBytes: number
  bytes: Uint8Array
}

export interface Presence {
  cid: CID
  have: boolean
}

export interface Message {
  wants: WantEntry[]
  /** The wants replace what was wanted before. */
  full: boolean
  blocks: PayloadBlock[]
  presences: Presence[]
  /** How much the sender still has queued for the receiver. */
  pendingBytes: number
}

/** Blocks without a prefix, field 2, are bitswap 1.0.0: no peer that speaks 1.2.0 sends them. */
const FIELD = { wantlist: 1, payload: 3, presences: 4, pendingBytes: 5 } as const
const WANTLIST = { entries: 1, full: 2 } as const
const ENTRY = { block: 1, priority: 2, cancel: 3, wantType: 4, sendDontHave: 5 } as const
const PAYLOAD = { prefix: 1, data: 2 } as const
const PRESENCE = { cid: 1, type: 2 } as const

/** One length-prefixed message with nothing but wants. */
export function encodeWants(entries: readonly WantEntry[], full = false): Uint8Array {
  const entryLengths = entries.map(entryLength)
  let wantlistLength = full ? varintFieldLength(1) : 0
  for (const length of entryLengths) wantlistLength += bytesFieldLength(length)
  const messageLength = bytesFieldLength(wantlistLength)

  const target = new Uint8Array(varintLength(messageLength) + messageLength)
  let at = writeVarint(target, 0, messageLength)
  at = writeFieldHeader(target, at, FIELD.wantlist, wantlistLength)
  entries.forEach((entry, index) => {
    at = writeFieldHeader(target, at, WANTLIST.entries, entryLengths[index]!)
    at = writeBytesField(target, at, ENTRY.block, entry.cid.bytes)
    at = writeVarintField(target, at, ENTRY.priority, entry.priority)
    if (entry.cancel) at = writeVarintField(target, at, ENTRY.cancel, 1)
    if (entry.wantType !== WANT_BLOCK) at = writeVarintField(target, at, ENTRY.wantType, entry.wantType)
    if (entry.sendDontHave) at = writeVarintField(target, at, ENTRY.sendDontHave, 1)
  })
  if (full) writeVarintField(target, at, WANTLIST.full, 1)
  return target
}

function entryLength(entry: WantEntry): number {
  let length = bytesFieldLength(entry.cid.bytes.byteLength) + varintFieldLength(entry.priority)
  if (entry.cancel) length += varintFieldLength(1)
  if (entry.wantType !== WANT_BLOCK) length += varintFieldLength(entry.wantType)
  if (entry.sendDontHave) length += varintFieldLength(1)
  return length
}

export interface Reply {
  blocks: readonly { cid: CID; bytes: Uint8Array }[]
  presences: readonly Presence[]
  pendingBytes: number
}

/**
 * One length-prefixed message of blocks and presences, as pieces to be sent in order. Large blocks are not copied; what
 * is small is put together, since every piece costs an encrypted record of its own.
 */
export function encodeReply(reply: Reply): Uint8Array[] {
  const prefixes = reply.blocks.map(({ cid }) => encodePrefix(cid))
  const payloadLengths = reply.blocks.map(
    ({ bytes }, index) => bytesFieldLength(prefixes[index]!.byteLength) + bytesFieldLength(bytes.byteLength),
  )
  const presenceLengths = reply.presences.map(
    ({ cid, have }) => bytesFieldLength(cid.bytes.byteLength) + varintFieldLength(have ? 0 : 1),
  )
  let length = 0
  for (const payload of payloadLengths) length += bytesFieldLength(payload)
  for (const presence of presenceLengths) length += bytesFieldLength(presence)
  if (reply.pendingBytes > 0) length += varintFieldLength(reply.pendingBytes)

  const pieces: Uint8Array[] = []
  let head: Uint8Array = new Uint8Array(varintLength(length))
  writeVarint(head, 0, length)
  reply.blocks.forEach(({ bytes }, index) => {
    const prefix = prefixes[index]!
    const payload = payloadLengths[index]!
    const header = new Uint8Array(
      head.byteLength +
        1 +
        varintLength(payload) +
        bytesFieldLength(prefix.byteLength) +
        1 +
        varintLength(bytes.byteLength),
    )
    header.set(head)
    let at = writeFieldHeader(header, head.byteLength, FIELD.payload, payload)
    at = writeBytesField(header, at, PAYLOAD.prefix, prefix)
    writeFieldHeader(header, at, PAYLOAD.data, bytes.byteLength)
    pieces.push(header, bytes)
    head = new Uint8Array(0)
  })

  let tailLength = head.byteLength
  for (const presence of presenceLengths) tailLength += bytesFieldLength(presence)
  if (reply.pendingBytes > 0) tailLength += varintFieldLength(reply.pendingBytes)
  if (tailLength > 0) {
    const tail = new Uint8Array(tailLength)
    tail.set(head)
    let at = head.byteLength
    reply.presences.forEach(({ cid, have }, index) => {
      at = writeFieldHeader(tail, at, FIELD.presences, presenceLengths[index]!)
      at = writeBytesField(tail, at, PRESENCE.cid, cid.bytes)
      at = writeVarintField(tail, at, PRESENCE.type, have ? 0 : 1)
    })
    if (reply.pendingBytes > 0) writeVarintField(tail, at, FIELD.pendingBytes, reply.pendingBytes)
    pieces.push(tail)
  }
  return joinSmall(pieces)
}

/** Puts neighbours that are smaller than {@link SMALL_PIECE_BYTES} together, as long as they stay below the joined size. */
function joinSmall(pieces: readonly Uint8Array[]): Uint8Array[] {
  const joined: Uint8Array[] = []
  let run: Uint8Array[] = []
  let runBytes = 0
  const endRun = () => {
    if (run.length > 0) joined.push(run.length === 1 ? run[0]! : Buffer.concat(run, runBytes))
    run = []
    runBytes = 0
  }
  for (const piece of pieces) {
    const isSmall = piece.byteLength < SMALL_PIECE_BYTES
    if (!isSmall || runBytes + piece.byteLength > JOINED_PIECE_BYTES) endRun()
    if (isSmall) {
      run.push(piece)
      runBytes += piece.byteLength
    } else {
      joined.push(piece)
    }
  }
  endRun()
  return joined
}

function writeFieldHeader(target: Uint8Array, position: number, field: number, length: number): number {
  target[position] = field * 8 + WIRE_BYTES
  return writeVarint(target, position + 1, length)
}

function encodePrefix(cid: CID): Uint8Array {
  const { code: hashCode, size } = cid.multihash
  const numbers = [cid.version, cid.code, hashCode, size]
  const prefix = new Uint8Array(numbers.reduce((sum, value) => sum + varintLength(value), 0))
  let at = 0
  for (const value of numbers) at = writeVarint(prefix, at, value)
  return prefix
}

/**
 * Decodes one message without its length prefix. Block bytes are views into it.
 *
 * @throws P2PError `bad-data`
 */
export function decodeMessage(bytes: Uint8Array): Message {
  const message: Message = { wants: [], full: false, blocks: [], presences: [], pendingBytes: 0 }
  const reader = new ProtobufReader(bytes)
  while (reader.nextField()) {
    switch (reader.field) {
      case FIELD.wantlist:
        reader.expect(WIRE_BYTES)
        decodeWantlist(reader.bytes(), message)
        break
      case FIELD.payload:
        reader.expect(WIRE_BYTES)
        if (message.blocks.length < MAX_ENTRIES) message.blocks.push(decodePayload(reader.bytes()))
        else reader.skip()
        break
      case FIELD.presences:
        reader.expect(WIRE_BYTES)
        if (message.presences.length < MAX_ENTRIES) message.presences.push(decodePresence(reader.bytes()))
        else reader.skip()
        break
      case FIELD.pendingBytes:
        reader.expect(WIRE_VARINT)
        message.pendingBytes = reader.varint()
        break
      default:
        reader.skip()
    }
  }
  return message
}

function decodeWantlist(bytes: Uint8Array, message: Message): void {
  const reader = new ProtobufReader(bytes)
  while (reader.nextField()) {
    if (reader.field === WANTLIST.entries) {
      reader.expect(WIRE_BYTES)
      if (message.wants.length < MAX_ENTRIES) message.wants.push(decodeEntry(reader.bytes()))
      else reader.skip()
    } else if (reader.field === WANTLIST.full) {
      reader.expect(WIRE_VARINT)
      message.full = reader.varint() !== 0
    } else {
      reader.skip()
    }
  }
}

function decodeEntry(bytes: Uint8Array): WantEntry {
  let cid: CID | undefined
  let cancel = false
  let wantType: WantType = WANT_BLOCK
  let priority = 1
  let sendDontHave = false
  const reader = new ProtobufReader(bytes)
  while (reader.nextField()) {
    if (reader.field === ENTRY.block) {
      reader.expect(WIRE_BYTES)
      cid = decodeCid(reader.bytes())
      continue
    }
    if (reader.wire !== WIRE_VARINT) {
      reader.skip()
      continue
    }
    const value = reader.varint()
    if (reader.field === ENTRY.priority) priority = value > 0x7fffffff ? 0 : value
    else if (reader.field === ENTRY.cancel) cancel = value !== 0
    else if (reader.field === ENTRY.wantType) wantType = value === WANT_HAVE ? WANT_HAVE : WANT_BLOCK
    else if (reader.field === ENTRY.sendDontHave) sendDontHave = value !== 0
  }
  if (cid === undefined) throw new P2PError('bad-data', 'Bitswap want without a CID')
  return { cid, cancel, wantType, priority, sendDontHave }
}

function decodePayload(bytes: Uint8Array): PayloadBlock {
  let prefix: Uint8Array | undefined
  let data: Uint8Array = new Uint8Array(0)
  const reader = new ProtobufReader(bytes)
  while (reader.nextField()) {
    if (reader.wire !== WIRE_BYTES) reader.skip()
    else if (reader.field === PAYLOAD.prefix) prefix = reader.bytes()
    else if (reader.field === PAYLOAD.data) data = reader.bytes()
    else reader.skip()
  }
  if (prefix === undefined) throw new P2PError('bad-data', 'Bitswap block without a CID prefix')
  const numbers = new ProtobufReader(prefix)
  const [version, codec, hashCode] = [numbers.varint(), numbers.varint(), numbers.varint()]
  return { version, codec, hashCode, digestBytes: numbers.varint(), bytes: data }
}

function decodePresence(bytes: Uint8Array): Presence {
  let cid: CID | undefined
  let have = true
  const reader = new ProtobufReader(bytes)
  while (reader.nextField()) {
    if (reader.field === PRESENCE.cid && reader.wire === WIRE_BYTES) cid = decodeCid(reader.bytes())
    else if (reader.field === PRESENCE.type && reader.wire === WIRE_VARINT) have = reader.varint() === 0
    else reader.skip()
  }
  if (cid === undefined) throw new P2PError('bad-data', 'Bitswap presence without a CID')
  return { cid, have }
}

function decodeCid(bytes: Uint8Array): CID {
  if (bytes.byteLength === 0 || bytes.byteLength > MAX_CID_BYTES) {
    throw new P2PError('bad-data', `Bitswap CID of ${bytes.byteLength} bytes`)
  }
  try {
    // A copy: a view would keep the whole message in memory for as long as the want stands.
    return CID.decode(new Uint8Array(bytes))
  } catch (cause) {
    throw new P2PError('bad-data', 'Bitswap CID that cannot be decoded', { cause })
  }
}

/**
 * Cuts a stream of bytes into messages. Holds at most one unfinished message, and allocates for it only once its
 * length is known and allowed.
 */
export class MessageSplitter {
  readonly #take: (length: number) => Uint8Array
  #lengthValue = 0
  #lengthScale = 1
  #lengthBytes = 0
  #message: Uint8Array | undefined
  #filled = 0

  /** @param take - gives the memory for a message; what is in it does not matter */
  constructor(take: (length: number) => Uint8Array = (length) => Buffer.allocUnsafe(length)) {
    this.#take = take
  }

  /**
   * Takes the next bytes of the stream and calls back with each message that they complete, without its length prefix.
   *
   * @throws P2PError `bad-data` for a length above {@link MAX_MESSAGE_BYTES}; the stream cannot be used after that
   */
  push(chunk: Uint8Array, onMessage: (message: Uint8Array) => void): void {
    let at = 0
    while (at < chunk.byteLength) {
      if (this.#message === undefined) {
        at = this.#readLength(chunk, at)
        continue
      }
      const count = Math.min(chunk.byteLength - at, this.#message.byteLength - this.#filled)
      this.#message.set(count === chunk.byteLength ? chunk : chunk.subarray(at, at + count), this.#filled)
      this.#filled += count
      at += count
      if (this.#filled === this.#message.byteLength) {
        const message = this.#message
        this.#message = undefined
        onMessage(message)
      }
    }
  }

  #readLength(chunk: Uint8Array, position: number): number {
    const byte = chunk[position]!
    this.#lengthValue += (byte & 0x7f) * this.#lengthScale
    this.#lengthScale *= 128
    this.#lengthBytes++
    if (this.#lengthValue > MAX_MESSAGE_BYTES || this.#lengthBytes > 4) {
      throw new P2PError('bad-data', `Bitswap message above ${MAX_MESSAGE_BYTES} bytes`)
    }
    if (byte < 0x80) {
      if (this.#lengthValue > 0) this.#message = this.#take(this.#lengthValue)
      this.#filled = 0
      this.#lengthValue = 0
      this.#lengthScale = 1
      this.#lengthBytes = 0
    }
    return position + 1
  }
}
