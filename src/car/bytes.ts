/**
 * The bytes of a CAR file as `@ipld/car` reads them, in the order in which they come: it asks for whatever length the
 * file names, so that this is where lengths are held to limits. Used by `read.ts` alone.
 */

import { P2PError } from '../common/errors.ts'
import { MAX_BLOCK_BYTES } from '../dag/block.ts'

/** Of a header, which lists the roots, and of a block. */
const MAX_PIECE_BYTES = MAX_BLOCK_BYTES

export class CarBytes {
  readonly #chunks: AsyncIterator<Uint8Array>
  #buffer: Uint8Array = new Uint8Array(0)
  #position = 0
  /** Bytes to go past before anything else is read. */
  #unread = 0
  #ended = false

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** Offset in the file of what is read next. */
  get pos(): number {
    return this.#position
  }

  /** Up to so many bytes, fewer only at the end, without going past them. */
  async upTo(length: number): Promise<Uint8Array<ArrayBuffer>> {
    await this.#gather(length)
    return this.#buffer.subarray(0, length) as Uint8Array<ArrayBuffer>
  }

  /** @throws P2PError `bad-data` at the end of the file, `limit` for more than any piece of a CAR file may have */
  async exactly(length: number, seek = false): Promise<Uint8Array<ArrayBuffer>> {
    if (length < 0) throw new P2PError('bad-data', 'a length below zero')
    if (length > MAX_PIECE_BYTES) {
      throw new P2PError('limit', `a piece of ${length} bytes, where ${MAX_PIECE_BYTES} are the most`)
    }
    const bytes = await this.upTo(length)
    if (bytes.byteLength < length) throw new P2PError('bad-data', 'the file ends too early')
    if (seek) this.seek(length)
    return bytes
  }

  /** Goes past bytes, which may still have to come. @throws P2PError `bad-data` for a step back */
  seek(length: number): void {
    if (!(length >= 0)) throw new P2PError('bad-data', 'a header that leads back into itself')
    this.#unread += Math.max(0, length - this.#buffer.byteLength)
    this.#position += length
    this.#buffer = this.#buffer.subarray(length)
  }

  /** Whether nothing follows but zeros, which then have been read. */
  async endsInZeros(): Promise<boolean> {
    for (;;) {
      const { byteLength } = await this.upTo(1)
      if (byteLength === 0) return true
      if (this.#buffer.some((byte) => byte !== 0)) return false
      this.seek(this.#buffer.byteLength)
    }
  }

  /** Nothing more is read. */
  async close(): Promise<void> {
    await this.#chunks.return?.()
  }

  async #gather(length: number): Promise<void> {
    if (this.#buffer.byteLength >= length || this.#ended) return
    const parts = [this.#buffer]
    for (let bytes = this.#buffer.byteLength; bytes < length; ) {
      const next = await this.#chunks.next()
      if (next.done === true) {
        this.#ended = true
        break
      }
      const chunk = next.value.subarray(this.#unread)
      this.#unread -= next.value.byteLength - chunk.byteLength
      parts.push(chunk)
      bytes += chunk.byteLength
    }
    this.#buffer = Buffer.concat(parts)
  }
}
