/**
 * Frames of the socket protocol: lines of JSON, and bytes between them. Pure but for the streams it is given; used by
 * both ends, in both directions.
 *
 * Every line is an object. One of the form `{"type":"content","bytes":N}` is followed by N raw bytes and then by the
 * next line. Empty lines are signs of life and mean nothing. Which line is the last one is the business of whoever
 * speaks: a stream that ends without it was cut off.
 */

import { messageOf, P2PError } from '../common/errors.ts'

/** A line of JSON. */
export interface Frame {
  type?: unknown
  [field: string]: unknown
}

/** A part of what follows a content line, as it arrived. */
export type Received = { kind: 'frame'; frame: Frame } | { kind: 'content'; content: Uint8Array }

const LINE_FEED = 0x0a

export function encodeFrame(frame: Frame): string {
  return `${JSON.stringify(frame)}\n`
}

/** What has to be sent before `byteCount` raw bytes. */
export function encodeContentHeader(byteCount: number): string {
  return encodeFrame({ type: 'content', bytes: byteCount })
}

/**
 * Frames in the order of their arrival; content in pieces, none longer than the chunk that brought it. A last line
 * without a line feed counts as one.
 *
 * @param maxLineBytes - longest line that is held
 * @throws P2PError `limit` for a longer line, `usage` for what is no frame
 */
export async function* readFrames(
  chunks: AsyncIterable<Uint8Array>,
  { maxLineBytes }: { maxLineBytes: number },
): AsyncGenerator<Received> {
  let line: Uint8Array[] = []
  let lineBytes = 0
  let contentBytes = 0
  for await (const chunk of chunks) {
    for (let rest = chunk; rest.byteLength > 0; ) {
      if (contentBytes > 0) {
        const content = rest.subarray(0, contentBytes)
        contentBytes -= content.byteLength
        rest = rest.subarray(content.byteLength)
        yield { kind: 'content', content }
        continue
      }
      const end = rest.indexOf(LINE_FEED)
      const part = end === -1 ? rest : rest.subarray(0, end)
      lineBytes += part.byteLength
      if (lineBytes > maxLineBytes) throw new P2PError('limit', `A line has more than ${maxLineBytes} bytes`)
      line.push(part)
      if (end === -1) break
      rest = rest.subarray(end + 1)
      const frame = parseLine(line)
      line = []
      lineBytes = 0
      if (frame === undefined) continue
      if (frame.type === 'content') contentBytes = contentLength(frame)
      else yield { kind: 'frame', frame }
    }
  }
  const last = parseLine(line)
  if (last !== undefined) yield { kind: 'frame', frame: last }
}

/** undefined for an empty line. */
function parseLine(parts: Uint8Array[]): Frame | undefined {
  const text = Buffer.concat(parts).toString('utf8')
  if (text.trim() === '') return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new P2PError('usage', `A line is not JSON: ${messageOf(error)}`)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Frame
  throw new P2PError('usage', 'A line is not a JSON object')
}

function contentLength({ bytes }: Frame): number {
  if (typeof bytes === 'number' && Number.isSafeInteger(bytes) && bytes >= 0) return bytes
  throw new P2PError('usage', 'A content line does not say how many bytes follow')
}
