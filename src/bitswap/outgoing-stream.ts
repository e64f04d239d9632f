/**
 * Messages to one peer, one after the other, on a stream that is kept. Used by `network.ts`. A send resolves when the
 * stream below has taken most of it, and where there is a limit, all of it has had its turn.
 */

import type { Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import { P2PError } from '../common/errors.ts'
import { LIMITED_PIECE_BYTES, type RateLimiter } from '../common/rate-limiter.ts'
import { MINUTE_MS, SECOND_MS } from '../common/units.ts'

/** A peer that takes nothing for so long is not read from for replies any more. */
const SEND_STALL_MS = 10 * SECOND_MS
/** boxo's 100 kbit/s; a peer that takes less is not sent to. */
const MIN_SEND_BYTES_PER_SECOND = 12_500
const MAX_SEND_MS = 2 * MINUTE_MS

interface Opened {
  stream: Stream
  limiter: RateLimiter | undefined
}

export interface OutgoingStreamOptions {
  /** After so long without a message the stream is replaced; by default never. */
  idleMs?: number
  /** What was sent last may not have reached the peer. */
  onLost?: () => void
  /** A message that fails takes those with it that wait behind it, instead of each meeting the failure on a new stream. */
  failsTogether?: boolean
}

/** A stream to one peer that is opened when it is first written to, and again after it was lost or idle. */
export class OutgoingStream {
  readonly #open: () => Promise<Opened>
  readonly #idleMs: number
  readonly #onLost: () => void
  readonly #failsTogether: boolean
  #failures = 0
  #opened: Opened | undefined
  #lastSendAt = 0
  #tail: Promise<void> = Promise.resolve()
  #closed = false

  constructor(open: () => Promise<Opened>, options: OutgoingStreamOptions = {}) {
    this.#open = open
    this.#idleMs = options.idleMs ?? Number.POSITIVE_INFINITY
    this.#onLost = options.onLost ?? (() => {})
    this.#failsTogether = options.failsTogether ?? false
  }

  /** Sends after whatever was sent before; resolves when the stream can take more. */
  send(pieces: Uint8Array[]): Promise<void> {
    const failuresBefore = this.#failures
    const sent = this.#tail.then(() => {
      if (this.#failsTogether && this.#failures > failuresBefore) {
        throw new P2PError('network', 'What was sent before has failed')
      }
      return this.#sendNow(pieces)
    })
    this.#tail = sent.catch(() => {})
    return sent
  }

  /** Opens the stream ahead of the first message: agreeing on the protocol takes a round trip. */
  prepare(): void {
    if (this.#opened !== undefined || this.#closed) return
    // Whoever sends meets the failure again.
    this.#tail = this.#tail.then(async () => void (await this.#ensureOpen())).catch(() => {})
  }

  close(): void {
    this.#closed = true
    this.#drop()
  }

  async #sendNow(pieces: Uint8Array[]): Promise<void> {
    if (this.#opened !== undefined && performance.now() - this.#lastSendAt > this.#idleMs) this.#drop()
    const opened = await this.#ensureOpen()
    this.#lastSendAt = performance.now()
    try {
      await sendOn(opened, new Uint8ArrayList(...pieces))
    } catch (error) {
      if (this.#opened === opened) this.#opened = undefined
      this.#failures++
      throw error
    }
  }

  async #ensureOpen(): Promise<Opened> {
    if (this.#closed) throw new P2PError('network', 'The peer has gone')
    this.#opened ??= await this.#openNow()
    return this.#opened
  }

  async #openNow(): Promise<Opened> {
    const opened = await this.#open()
    const { stream } = opened
    stream.addEventListener('close', (event) => {
      if (this.#opened !== opened) return
      this.#opened = undefined
      if ((event as { error?: Error }).error !== undefined) this.#onLost()
    })
    // A peer never answers on this stream; whatever it sends is read and dropped.
    stream.addEventListener('message', () => {})
    return opened
  }

  #drop(): void {
    const opened = this.#opened
    this.#opened = undefined
    opened?.stream.close().catch((error) => opened.stream.abort(error))
  }
}

async function sendOn({ stream, limiter }: Opened, message: Uint8ArrayList): Promise<void> {
  const pieceBytes = limiter === undefined ? message.byteLength : LIMITED_PIECE_BYTES
  for (let at = 0; at < message.byteLength; at += pieceBytes) {
    const piece = message.sublist(at, Math.min(message.byteLength, at + pieceBytes))
    await limiter?.pass(piece.byteLength)
    if (!stream.send(piece)) await drained(stream)
  }
}

/**
 * Waits until the stream takes more. Its own `onDrain()` resolves at once from the second wait on, since the promise
 * behind it is never renewed.
 */
async function drained(stream: Stream): Promise<void> {
  let waitingBytes = stream.writeBufferLength
  const slowestMs = SEND_STALL_MS + (waitingBytes / MIN_SEND_BYTES_PER_SECOND) * SECOND_MS
  const deadline = performance.now() + Math.min(MAX_SEND_MS, slowestMs)
  while (stream.writableNeedsDrain) {
    const outcome = await nextDrain(stream, SEND_STALL_MS)
    if (outcome === 'closed') throw new P2PError('network', 'The stream was closed while sending')
    const isStalled = outcome === 'stalled' && stream.writeBufferLength >= waitingBytes
    if (isStalled || performance.now() > deadline) {
      const error = new P2PError('timeout', 'The peer takes what it asked for too slowly')
      stream.abort(error)
      throw error
    }
    waitingBytes = stream.writeBufferLength
  }
}

function nextDrain(stream: Stream, stallMs: number): Promise<'drained' | 'closed' | 'stalled'> {
  return new Promise((resolve) => {
    const finish = (outcome: 'drained' | 'closed' | 'stalled') => {
      clearTimeout(timer)
      stream.removeEventListener('drain', onDrain)
      stream.removeEventListener('close', onClose)
      resolve(outcome)
    }
    // The stream sends what is buffered in a microtask of its own after this event: look again after that.
    const onDrain = () => queueMicrotask(() => queueMicrotask(() => finish('drained')))
    const onClose = () => finish('closed')
    const timer = setTimeout(() => finish('stalled'), stallMs)
    stream.addEventListener('drain', onDrain)
    stream.addEventListener('close', onClose)
  })
}
