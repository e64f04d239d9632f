/**
 * The little of protobuf that the wire formats here need: a reader that never leaves its bounds and never trusts a
 * length, and the pieces to write fields into a buffer of known size.
 * @see https://protobuf.dev/programming-guides/encoding/
 */

import { P2PError } from './errors.ts'

export const WIRE_VARINT = 0
const WIRE_FIXED64 = 1
export const WIRE_BYTES = 2
export const WIRE_FIXED32 = 5

const MAX_VARINT_BYTES = 10

function malformed(what: string): P2PError {
  return new P2PError('bad-data', `Malformed protobuf: ${what}`)
}

/** Reads the fields of one message, front to back. Every method throws P2PError `bad-data` past the end. */
export class ProtobufReader {
  readonly #bytes: Uint8Array
  #position = 0
  /** Number of the field that {@link nextField} stopped at. */
  field = 0
  /** Its wire type. */
  wire = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Steps to the next field; false at the end. The value must be read or skipped before the next call. */
  nextField(): boolean {
    if (this.#position === this.#bytes.byteLength) return false
    const tag = this.varint()
    this.field = Math.floor(tag / 8)
    this.wire = tag % 8
    if (this.field === 0) throw malformed('field number 0')
    return true
  }

  /** An unsigned varint as a number. Values above 2^53 lose precision, as negative int64s do: use {@link bigVarint}. */
  varint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.#bytes[this.#position++]
      if (byte === undefined) throw malformed('cut varint')
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
    throw malformed('varint above ten bytes')
  }

  /** A varint as a signed 64-bit integer. */
  bigVarint(): bigint {
    let value = 0n
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.#bytes[this.#position++]
      if (byte === undefined) throw malformed('cut varint')
      value |= BigInt(byte & 0x7f) << BigInt(7 * i)
      if (byte < 0x80) return BigInt.asIntN(64, value)
    }
    throw malformed('varint above ten bytes')
  }

  /** A length-delimited value, as a view into the message. */
  bytes(): Uint8Array {
    const length = this.varint()
    const end = this.#position + length
    if (end > this.#bytes.byteLength) throw malformed('length beyond the end')
    const value = this.#bytes.subarray(this.#position, end)
    this.#position = end
    return value
  }

  fixed32(): number {
    const end = this.#position + 4
    if (end > this.#bytes.byteLength) throw malformed('cut fixed32')
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.#position, 4)
    this.#position = end
    return view.getUint32(0, true)
  }

  /** Passes over the value of the current field. */
  skip(): void {
    if (this.wire === WIRE_VARINT) this.varint()
    else if (this.wire === WIRE_BYTES) this.#advance(this.varint())
    else if (this.wire === WIRE_FIXED32) this.#advance(4)
    else if (this.wire === WIRE_FIXED64) this.#advance(8)
    else throw malformed(`wire type ${this.wire}`)
  }

  /** Refuses the current field if it does not have this wire type. */
  expect(wire: number): void {
    if (this.wire !== wire) throw malformed(`field ${this.field} has wire type ${this.wire}`)
  }

  #advance(count: number): void {
    this.#position += count
    if (this.#position > this.#bytes.byteLength) throw malformed('cut field')
  }
}

/** How many bytes the varint of a non-negative safe integer takes. */
export function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) length++
  return length
}

/** Writes a non-negative safe integer as a varint and returns the position after it. */
export function writeVarint(target: Uint8Array, position: number, value: number): number {
  let rest = value
  let at = position
  while (rest >= 128) {
    target[at++] = (rest % 128) | 0x80
    rest = Math.floor(rest / 128)
  }
  target[at++] = rest
  return at
}

/** Writes a tag, the length of `value` and `value`; returns the position after it. Fields 1 to 15. */
export function writeBytesField(target: Uint8Array, position: number, field: number, value: Uint8Array): number {
  target[position] = field * 8 + WIRE_BYTES
  const at = writeVarint(target, position + 1, value.byteLength)
  target.set(value, at)
  return at + value.byteLength
}

/** Writes a field of text, as {@link writeBytesField} does its bytes. */
export function writeTextField(target: Buffer, position: number, field: number, value: string): number {
  target[position] = field * 8 + WIRE_BYTES
  const at = writeVarint(target, position + 1, Buffer.byteLength(value))
  return at + target.write(value, at)
}

/** Bytes that {@link writeBytesField} takes for a value of this length. */
export function bytesFieldLength(valueLength: number): number {
  return 1 + varintLength(valueLength) + valueLength
}

/** Writes a tag and a varint; returns the position after it. Fields 1 to 15. */
export function writeVarintField(target: Uint8Array, position: number, field: number, value: number): number {
  target[position] = field * 8 + WIRE_VARINT
  return writeVarint(target, position + 1, value)
}

/** Bytes that {@link writeVarintField} takes. */
export function varintFieldLength(value: number): number {
  return 1 + varintLength(value)
}
