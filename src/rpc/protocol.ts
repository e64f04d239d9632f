/**
 * What the two ends of the socket say to each other, in HTTP/1.1.
 *
 * `POST /v1/<operation>`. The body is made of frames (`frames.ts`): the call, an object with the operation's arguments
 * (`calls.ts`), all paths in it absolute. Where the call names a stream, its bytes follow as content, and then
 * `{"type":"end"}`, or `{"type":"failed"}` with `message` and `errno` if it broke on the caller's side.
 *
 * The answer is 200 and made of frames too, each with `v`, `type` and `ts`: progress as `--json` prints it, and `event`
 * frames with a part of the result as `event`. Bytes of a result come as content. The last frame is one of
 * - `result`, with the operation's result as `result`,
 * - `error`, with `code`, `message`, `hint` and `causes`,
 * - `handover`: the holder ends; the caller opens the repo itself or asks whoever has opened it.
 *
 * An answer that ends without one of these comes from a holder that was killed, and means the same as `handover`.
 * What is not a call of this protocol is answered with another status and one `error` frame. A caller that closes the
 * connection cancels what it asked for.
 *
 * A new operation needs nothing here: it is an entry in the table of `node/operations.ts`, its types in `node/api.ts`
 * and `node/api/`, and its logic in `node/operations/`. Both ends check and carry by that table its plain options,
 * `signal`, `onProgress`, `onEvent`, `content` (a stream from the caller) and `write` (bytes to the caller).
 */

import { ERROR_CODES, errnoOf, messageOf, P2PError } from '../common/errors.ts'
import { KiB, MiB, SECOND_MS } from '../common/units.ts'
import type { Frame } from './frames.ts'

export const PROTOCOL_VERSION = 1
export const CONTENT_TYPE = 'application/x-ndjson'

/** Longest call, but for those that list what may be a whole command line. */
export const MAX_CALL_BYTES = MiB
export const MAX_ADD_CALL_BYTES = 16 * MiB
/** Longest frame of an answer: a result that names every entry of a large folder. */
export const MAX_ANSWER_LINE_BYTES = 64 * MiB
/** Largest piece of content that is sent at once. */
export const MAX_CONTENT_BYTES = 256 * KiB
/** How often a holder that works shows that it does. */
export const LIFE_SIGN_MS = 5 * SECOND_MS
/** One that has shown nothing for so long hangs. */
export const MAX_SILENCE_MS = 30 * SECOND_MS

const CALL_PATH = /^\/v(\d{1,9})\/([a-z-]{1,64})$/

export interface CallPath {
  version: number
  operation: string
}

export function callPath(operation: string): string {
  return `/v${PROTOCOL_VERSION}/${operation}`
}

/** undefined if it is no path of ours. */
export function parseCallPath(path: string): CallPath | undefined {
  const match = CALL_PATH.exec(path)
  return match === null ? undefined : { version: Number(match[1]), operation: match[2]! }
}

/** What `--verbose` shows below an error, as text. */
const MAX_CAUSES = 8

/** The fields of an `error` frame. */
export function encodeError({ code, message, hint, cause }: P2PError): Frame {
  const causes: string[] = []
  for (let next = cause; next !== undefined && causes.length < MAX_CAUSES; next = (next as Error).cause) {
    causes.push(next instanceof Error ? (next.stack ?? next.message) : String(next))
    if (!(next instanceof Error)) break
  }
  return { code, message, hint, causes }
}

/** The error that an `error` frame tells of. */
export function decodeError({ code, message, hint, causes }: Frame): P2PError {
  return new P2PError(ERROR_CODES.find((known) => known === code) ?? 'internal', String(message), {
    hint: typeof hint === 'string' ? hint : undefined,
    cause: Array.isArray(causes) ? decodeCause(causes) : undefined,
  })
}

function decodeCause([first, ...others]: unknown[]): Error | undefined {
  if (first === undefined) return undefined
  const error = new Error(String(first), { cause: decodeCause(others) })
  error.stack = String(first)
  return error
}

/** The frame that ends a stream which could not be read to its end. */
export function encodeStreamError(error: unknown): Frame {
  return { type: 'failed', message: messageOf(error), errno: errnoOf(error) }
}

/** The error as the caller had it: what becomes of it does not depend on who read the stream. */
export function decodeStreamError({ message, errno }: Frame): Error {
  return Object.assign(new Error(String(message)), typeof errno === 'string' ? { code: errno } : {})
}
