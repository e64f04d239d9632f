/**
 * What a peer's stream brings, no faster than a limit lets it pass: while bytes wait for their turn the stream is
 * paused, so that its window closes and the peer stops sending. Used by `network.ts`.
 */

import type { Stream } from '@libp2p/interface'
import { LIMITED_PIECE_BYTES, type RateLimiter } from '../common/rate-limiter.ts'

/** Calls `take` with all that the stream brings, in order. If it throws, the stream is aborted. */
export function receiveFrom(stream: Stream, limiter: RateLimiter | undefined, take: (bytes: Uint8Array) => void): void {
  const receive = limiter === undefined ? take : heldTo(limiter, stream, take)
  stream.addEventListener('message', ({ data }) => {
    try {
      if (data instanceof Uint8Array) receive(data)
      else for (const chunk of data) receive(chunk)
    } catch (error) {
      abort(stream, error)
    }
  })
}

function heldTo(limiter: RateLimiter, stream: Stream, take: (bytes: Uint8Array) => void): (bytes: Uint8Array) => void {
  /** At most what fits into the stream's window. */
  const held: Uint8Array[] = []
  let isPassing = false

  const passAll = async () => {
    for (let chunk = held.shift(); chunk !== undefined; chunk = held.shift()) {
      for (let at = 0; at < chunk.byteLength; at += LIMITED_PIECE_BYTES) {
        const piece = chunk.subarray(at, at + LIMITED_PIECE_BYTES)
        await limiter.pass(piece.byteLength)
        if (isBroken(stream)) return
        take(piece)
      }
    }
    isPassing = false
    // What came in the meantime is handed out by this call.
    if (stream.readStatus === 'paused') stream.resume()
  }

  return (bytes) => {
    held.push(bytes)
    if (isPassing) return
    isPassing = true
    // Not at once: libp2p undoes a pause that is made while it hands out what it held.
    queueMicrotask(() => {
      if (isPassing && stream.readStatus === 'readable') stream.pause()
    })
    passAll().catch((error) => abort(stream, error))
  }
}

/** What a broken stream brought last is of no use; one that was closed in order is read to its end. */
function isBroken({ status }: Stream): boolean {
  return status === 'aborted' || status === 'reset'
}

function abort(stream: Stream, error: unknown): void {
  stream.abort(error instanceof Error ? error : new Error(String(error)))
}
