/**
 * The part of ASN.1 DER that certificates need: tags below 31, definite lengths in their shortest form. Called by
 * `certificate.ts` and `verify.ts`. Encoding rules: https://www.itu.int/rec/T-REC-X.690
 */

/** Identifier octets: https://www.rfc-editor.org/rfc/rfc5280#appendix-A */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  generalizedTime: 0x18,
  sequence: 0x30,
  /** `[number] EXPLICIT` */
  explicit: (number: number) => 0xa0 | number,
} as const

const LONG_FORM = 0x80
const HIGH_TAG_NUMBER = 0x1f
/** Lengths up to 16 MiB; a TLS handshake carries far less. */
const MAX_LENGTH_BYTES = 3

/** One element: tag, length, and the contents one after the other. */
export function encodeDer(tag: number, ...contents: Uint8Array[]): Uint8Array {
  const content = Buffer.concat(contents)
  return Buffer.concat([Uint8Array.of(tag), encodeLength(content.length), content])
}

/** A BIT STRING of whole bytes. */
export function encodeBitString(bytes: Uint8Array): Uint8Array {
  return encodeDer(TAG.bitString, Uint8Array.of(0), bytes)
}

function encodeLength(length: number): Uint8Array {
  if (length < LONG_FORM) return Uint8Array.of(length)
  const bytes: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 0x100)) bytes.unshift(rest % 0x100)
  return Uint8Array.of(LONG_FORM | bytes.length, ...bytes)
}

export interface DerElement {
  tag: number
  content: Uint8Array
  /** Tag, length and content as they stand in the input. */
  encoded: Uint8Array
}

/** Reads the elements of one content, in order, without copying. Every method throws on what DER does not allow. */
export class DerReader {
  readonly #bytes: Uint8Array
  #position = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#position === this.#bytes.length
  }

  /** The next element, which must have this tag. */
  read(tag: number): DerElement {
    const element = this.readAny()
    if (element.tag !== tag) throw new Error(`DER tag ${element.tag} where ${tag} is expected`)
    return element
  }

  /** The next element if it has this tag; otherwise nothing is read. */
  readOptional(tag: number): DerElement | undefined {
    return this.#bytes[this.#position] === tag ? this.readAny() : undefined
  }

  readAny(): DerElement {
    const start = this.#position
    const tag = this.#readByte()
    if ((tag & HIGH_TAG_NUMBER) === HIGH_TAG_NUMBER) throw new Error('DER tag number above 30')
    const length = this.#readLength()
    const contentStart = this.#position
    const end = contentStart + length
    if (end > this.#bytes.length) throw new Error('DER element is cut off')
    this.#position = end
    return { tag, content: this.#bytes.subarray(contentStart, end), encoded: this.#bytes.subarray(start, end) }
  }

  /** @throws if something is left */
  end(): void {
    if (!this.isAtEnd) throw new Error('DER element has bytes left over')
  }

  #readByte(): number {
    const byte = this.#bytes[this.#position++]
    if (byte === undefined) throw new Error('DER element is cut off')
    return byte
  }

  #readLength(): number {
    const first = this.#readByte()
    if (first < LONG_FORM) return first
    const count = first - LONG_FORM
    if (count === 0 || count > MAX_LENGTH_BYTES) throw new Error('DER length is indefinite or too long')
    let length = 0
    for (let index = 0; index < count; index++) length = length * 0x100 + this.#readByte()
    if (length < LONG_FORM || length < 0x100 ** (count - 1)) throw new Error('DER length is not in its shortest form')
    return length
  }
}
