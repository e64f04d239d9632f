/**
 * Cuts the content of a file into chunks, one a leaf. Where the cuts fall decides the CID, so each way to cut does
 * exactly what Kubo's does.
 * @see https://github.com/ipfs/boxo/tree/main/chunker
 */

import { P2PError } from '../common/errors.ts'
import { KiB } from '../common/units.ts'
import { MAX_BLOCK_BYTES } from '../dag/block.ts'
import { BUZHASH_MAX_BYTES, buzhashCut } from './buzhash.ts'
import { MIN_RABIN_BYTES, rabinCut } from './rabin.ts'

/** What a way to cut may be given; all in bytes. */
export type ChunkerSettings =
  | { kind: 'size'; bytes: number }
  | { kind: 'rabin'; min: number; average: number; max: number }
  | { kind: 'buzhash' }

/** The largest chunk: a leaf in dag-pb has some bytes around it. */
const MAX_CHUNK_BYTES = MAX_BLOCK_BYTES - 256
/** Of `rabin` without numbers, whatever the size of a profile's chunks is. */
const RABIN_AVERAGE_BYTES = 256 * KiB

/**
 * `size-N`, `rabin`, `rabin-AVERAGE`, `rabin-MIN-AVERAGE-MAX` or `buzhash`, with the bounds that Kubo has.
 *
 * @throws P2PError `usage`
 */
export function parseChunker(text: string): ChunkerSettings {
  const [, kind, digits] = /^(size|rabin|buzhash)((?:-\d{1,9})*)$/.exec(text) ?? []
  const numbers = (digits ?? '').split('-').slice(1).map(Number)
  const chunker = chunkerOf(kind, numbers)
  if (chunker === undefined || !isPossible(chunker)) throw notAChunker(text)
  return chunker
}

function chunkerOf(kind: string | undefined, numbers: number[]): ChunkerSettings | undefined {
  const [first, average, max] = numbers
  if (kind === 'size' && numbers.length === 1) return { kind, bytes: first! }
  if (kind === 'rabin' && numbers.length === 3) return { kind, min: first!, average: average!, max: max! }
  if (kind === 'rabin' && numbers.length <= 1) return rabinAround(first ?? RABIN_AVERAGE_BYTES)
  return kind === 'buzhash' && numbers.length === 0 ? { kind } : undefined
}

function rabinAround(average: number): ChunkerSettings {
  return { kind: 'rabin', min: Math.floor(average / 3), average, max: average + Math.floor(average / 2) }
}

function isPossible(chunker: ChunkerSettings): boolean {
  if (chunker.kind === 'buzhash') return true
  if (chunker.kind === 'size') return chunker.bytes > 0 && chunker.bytes <= MAX_CHUNK_BYTES
  const { min, average, max } = chunker
  return min >= MIN_RABIN_BYTES && min < average && average < max && max <= MAX_CHUNK_BYTES
}

function notAChunker(text: string): P2PError {
  return new P2PError('usage', `"${text}" is not a way to cut files that is known`, {
    hint: `Use size-N with N up to ${MAX_CHUNK_BYTES}, rabin, rabin-AVERAGE, rabin-MIN-AVERAGE-MAX with ${MIN_RABIN_BYTES} ≤ MIN < AVERAGE < MAX ≤ ${MAX_CHUNK_BYTES}, or buzhash.`,
  })
}

/**
 * The chunks of a stream; none is empty. A chunk may be a view of the piece that it came in.
 *
 * @throws whatever `content` throws
 */
export async function* chunksOf(
  content: AsyncIterable<Uint8Array>,
  chunker: ChunkerSettings,
): AsyncGenerator<Uint8Array> {
  const maxBytes = maxChunkBytes(chunker)
  let pending: Uint8Array[] = []
  let pendingBytes = 0
  for await (const piece of content) {
    pending.push(piece)
    pendingBytes += piece.byteLength
    if (pendingBytes < maxBytes) continue
    let rest = joined(pending)
    for (; rest.byteLength >= maxBytes; ) {
      const end = cut(chunker, rest)
      yield rest.subarray(0, end)
      rest = rest.subarray(end)
    }
    // An empty one would have the next piece copied behind it.
    pending = rest.byteLength === 0 ? [] : [rest]
    pendingBytes = rest.byteLength
  }
  for (let rest = joined(pending); rest.byteLength > 0; ) {
    const end = cut(chunker, rest)
    yield rest.subarray(0, end)
    rest = rest.subarray(end)
  }
}

function maxChunkBytes(chunker: ChunkerSettings): number {
  if (chunker.kind === 'size') return chunker.bytes
  return chunker.kind === 'rabin' ? chunker.max : BUZHASH_MAX_BYTES
}

/** Where the first chunk ends, given as many bytes as a chunk may have, or all that are left. */
function cut(chunker: ChunkerSettings, bytes: Uint8Array): number {
  if (chunker.kind === 'size') return Math.min(chunker.bytes, bytes.byteLength)
  return chunker.kind === 'rabin' ? rabinCut(bytes, chunker) : buzhashCut(bytes)
}

function joined(pieces: Uint8Array[]): Uint8Array {
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
}
