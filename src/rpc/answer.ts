/**
 * One answer on the socket as the holder writes it: bounded whatever the caller does. Of progress only the newest waits
 * for a caller that does not read; notes wait in a short queue; parts of the result make their operation wait.
 */

import type { Writable } from 'node:stream'
import { P2PError } from '../common/errors.ts'
import type { OnProgress } from '../common/progress.ts'
import { encodeContentHeader, encodeFrame, type Frame } from './frames.ts'
import { LIFE_SIGN_MS, MAX_CONTENT_BYTES } from './protocol.ts'

/** The version of the events, that of `--json`. */
const EVENT_VERSION = 1
/** Notes and warnings that wait; the oldest goes first. */
const MAX_WAITING_NOTES = 256

export class Answer {
  readonly #out: Writable
  readonly #lifeSign: NodeJS.Timeout
  /** The caller has not taken what was written last. */
  #blocked = false
  #events: string[] = []
  /** Those who wait until the caller has taken what was written. */
  #waiting: (() => void)[] = []
  #notes: string[] = []
  #progress: string | undefined

  /** @param out - the body of the answer; whoever made it watches it for errors */
  constructor(out: Writable) {
    this.#out = out
    out.on('drain', () => this.#flush())
    out.on('close', () => this.#release())
    this.#lifeSign = setInterval(() => {
      if (!this.#blocked) this.#write('\n')
    }, LIFE_SIGN_MS).unref()
  }

  readonly onProgress: OnProgress = (event) => {
    const { type, ...fields } = event
    const line = encodeEvent(type, fields)
    if (!this.#blocked) {
      this.#write(line)
    } else if (type === 'note' || type === 'warning') {
      this.#notes.push(line)
      if (this.#notes.length > MAX_WAITING_NOTES) this.#notes.shift()
    } else {
      this.#progress = line
    }
  }

  /** Sends a part of the result; resolves when the caller can take more, or has gone. */
  async event(event: object): Promise<void> {
    const line = encodeEvent('event', { event })
    if (this.#blocked) this.#events.push(line)
    else this.#write(line)
    if (this.#blocked && !this.#out.closed) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  /** Sends bytes of the result; resolves when they have left this process, rejects if they cannot. */
  async content(bytes: Uint8Array): Promise<void> {
    for (let start = 0; start < bytes.byteLength; start += MAX_CONTENT_BYTES) {
      const piece = bytes.subarray(start, start + MAX_CONTENT_BYTES)
      await new Promise<void>((resolve, reject) => {
        this.#write(encodeContentHeader(piece.byteLength))
        this.#blocked = !this.#out.write(piece, (error) => (error ? reject(callerHasGone(error)) : resolve()))
      })
    }
  }

  /** Sends the last frame. */
  end(type: string, fields: object): void {
    clearInterval(this.#lifeSign)
    this.#flush()
    this.#out.end(encodeEvent(type, fields))
  }

  #write(text: string): void {
    this.#blocked = !this.#out.write(text)
  }

  #flush(): void {
    this.#blocked = false
    const waiting = [...this.#events, ...this.#notes, ...(this.#progress === undefined ? [] : [this.#progress])]
    this.#events = []
    this.#notes = []
    this.#progress = undefined
    if (waiting.length > 0) this.#write(waiting.join(''))
    if (!this.#blocked) this.#release()
  }

  #release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

export function callerHasGone(cause?: Error): P2PError {
  return new P2PError('aborted', 'The command that asked for this has ended', { cause })
}

function encodeEvent(type: string, fields: object): string {
  return encodeFrame({ v: EVENT_VERSION, type, ts: new Date().toISOString(), ...fields } as Frame)
}
