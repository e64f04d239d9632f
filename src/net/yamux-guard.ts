/**
 * yamux that refuses a frame larger than any window before a byte of it is buffered. The library's decoder collects
 * whatever a 32-bit header claims, up to 4 GiB a connection, and looks at the window only once the frame is whole.
 * Called by `host.ts`. Frame layout: https://github.com/hashicorp/yamux/blob/master/spec.md
 */

import type { MessageStream, StreamMuxerFactory } from '@libp2p/interface'
import { type YamuxMuxerInit, yamux } from '@libp2p/yamux'

const HEADER_BYTES = 12
const TYPE_OFFSET = 1
const LENGTH_OFFSET = 8
const DATA_FRAME = 0

type Chunk = { readonly byteLength: number; subarray(start?: number, end?: number): Uint8Array }

/** Follows the frames of one connection. It holds at most one header, never their data. */
export class FrameLengthGuard {
  readonly #maxFrameBytes: number
  readonly #header = new Uint8Array(HEADER_BYTES)
  #headerBytes = 0
  #dataBytesLeft = 0

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes
  }

  /** The data length of the first frame in `chunk` that is too long; undefined when there is none. */
  findTooLong(chunk: Chunk): number | undefined {
    let position = 0
    while (position < chunk.byteLength) {
      if (this.#dataBytesLeft > 0) {
        const skipped = Math.min(this.#dataBytesLeft, chunk.byteLength - position)
        this.#dataBytesLeft -= skipped
        position += skipped
        continue
      }
      const taken = Math.min(HEADER_BYTES - this.#headerBytes, chunk.byteLength - position)
      this.#header.set(chunk.subarray(position, position + taken), this.#headerBytes)
      this.#headerBytes += taken
      position += taken
      if (this.#headerBytes < HEADER_BYTES) return undefined
      this.#headerBytes = 0
      // In other frames the length field is a window, a ping id or a code, and no data follows.
      if (this.#header[TYPE_OFFSET] !== DATA_FRAME) continue
      const length = new DataView(this.#header.buffer).getUint32(LENGTH_OFFSET)
      if (length > this.#maxFrameBytes) return length
      this.#dataBytesLeft = length
    }
    return undefined
  }
}

/** A `streamMuxers` entry for libp2p: yamux whose connections are aborted at a data frame above `maxFrameBytes`. */
export function guardedYamux(init: YamuxMuxerInit, maxFrameBytes: number): () => StreamMuxerFactory {
  return () => {
    const factory = yamux(init)()
    const createStreamMuxer = factory.createStreamMuxer.bind(factory)
    factory.createStreamMuxer = (connection: MessageStream) => {
      const guard = new FrameLengthGuard(maxFrameBytes)
      // Added before the muxer adds its own listener, so that it sees each chunk first and can keep it from the muxer.
      connection.addEventListener('message', (event) => {
        const length = guard.findTooLong(event.data)
        if (length === undefined) return
        event.stopImmediatePropagation()
        connection.abort(new Error(`The peer announced a yamux frame of ${length} bytes`))
      })
      return createStreamMuxer(connection)
    }
    return factory
  }
}
