/**
 * Cuts where the Rabin fingerprint of the last 16 bytes ends in zeros, so that what is inserted into a file moves the
 * cuts near it only. The fingerprint is of degree 53: 21 high bits and 32 low ones here, since a number of JavaScript has
 * 32 bits to shift. Called by `chunker.ts`.
 * @see https://github.com/ipfs/boxo/blob/main/chunker/rabin.go
 * @see https://github.com/whyrusleeping/chunker/blob/master/chunker.go
 */

const POLYNOMIAL = 0x3df305dfb2a805n
const DEGREE = 53n
const WINDOW_BYTES = 16
/** The high half holds bits 32 to 52; these are the top eight of them. */
const TOP_BYTE_SHIFT = 13

/** A chunk holds the window at least. */
export const MIN_RABIN_BYTES = WINDOW_BYTES

interface Table {
  high: Int32Array
  low: Int32Array
}

interface Tables {
  /** What a byte that leaves the window has added to the fingerprint. */
  leaving: Table
  /** What the top byte, shifted beyond the degree, becomes modulo the polynomial, and itself, which it cancels. */
  overflowing: Table
}

/** Made when the first file is cut, which takes longer than many an import by size. */
let tables: Tables | undefined

/**
 * Where the first chunk ends: at most `max` bytes on.
 *
 * @param min - at least {@link MIN_RABIN_BYTES}
 */
export function rabinCut(
  bytes: Uint8Array,
  { min, average, max }: { min: number; average: number; max: number },
): number {
  const length = Math.min(bytes.byteLength, max)
  const mask = 2 ** Math.floor(Math.log2(average)) - 1
  tables ??= makeTables()
  const { leaving, overflowing } = tables
  let high = 0
  let low = 0
  for (let at = min - WINDOW_BYTES; at < length; at++) {
    const gone = at < min ? 0 : bytes[at - WINDOW_BYTES]!
    high ^= leaving.high[gone]!
    low ^= leaving.low[gone]!
    const top = high >>> TOP_BYTE_SHIFT
    high = ((high << 8) | (low >>> 24)) ^ overflowing.high[top]!
    low = ((low << 8) | bytes[at]!) ^ overflowing.low[top]!
    if (at + 1 >= min && (low & mask) === 0) return at + 1
  }
  return length
}

function makeTables(): Tables {
  return {
    leaving: makeTable((byte) => remainder(byte << BigInt(8 * (WINDOW_BYTES - 1)))),
    overflowing: makeTable((byte) => remainder(byte << DEGREE) | (byte << DEGREE)),
  }
}

function makeTable(entryFor: (byte: bigint) => bigint): Table {
  const table = { high: new Int32Array(256), low: new Int32Array(256) }
  for (let byte = 0; byte < 256; byte++) {
    const value = entryFor(BigInt(byte))
    table.high[byte] = Number(BigInt.asIntN(32, value >> 32n))
    table.low[byte] = Number(BigInt.asIntN(32, value))
  }
  return table
}

/** Modulo the polynomial, over GF(2). */
function remainder(value: bigint): bigint {
  let rest = value
  for (let degree = degreeOf(rest); degree >= DEGREE; degree = degreeOf(rest)) rest ^= POLYNOMIAL << (degree - DEGREE)
  return rest
}

function degreeOf(value: bigint): bigint {
  return BigInt(value.toString(2).length - 1)
}
