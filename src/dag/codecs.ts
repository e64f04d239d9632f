/**
 * Names of codecs, hash functions and bases as people write them, for those that Kubo takes.
 * @see https://github.com/multiformats/multicodec/blob/master/table.csv
 */

import { MIN_DIGEST_BYTES } from './cid.ts'

const CODECS = new Map([
  ['cbor', 0x51],
  ['raw', 0x55],
  ['dag-pb', 0x70],
  ['dag-cbor', 0x71],
  ['libp2p-key', 0x72],
  ['git-raw', 0x78],
  ['torrent-info', 0x7b],
  ['dag-jose', 0x85],
  ['dag-json', 0x0129],
  ['json', 0x0200],
])

const HASHES = new Map([
  ['identity', 0x00],
  ['sha1', 0x11],
  ['sha2-256', 0x12],
  ['sha2-512', 0x13],
  ['sha3-512', 0x14],
  ['sha3-384', 0x15],
  ['sha3-256', 0x16],
  ['sha3-224', 0x17],
  ['shake-256', 0x19],
  ['keccak-224', 0x1a],
  ['keccak-256', 0x1b],
  ['keccak-384', 0x1c],
  ['keccak-512', 0x1d],
  ['blake3', 0x1e],
  ['dbl-sha2-256', 0x56],
  ...eachLength('blake2b', 0xb201, 64),
  ...eachLength('blake2s', 0xb241, 32),
])

/** BLAKE2 has one code for each length of digest; those of less bytes than a CID may have are left out. */
function eachLength(name: string, firstCode: number, maxBytes: number): [string, number][] {
  const lengths = Array.from({ length: maxBytes - MIN_DIGEST_BYTES + 1 }, (_, index) => MIN_DIGEST_BYTES + index)
  return lengths.map((bytes) => [`${name}-${8 * bytes}`, firstCode + bytes - 1])
}

/** `dag-pb`, or `0x…` for a codec without a name here. */
export function codecName(code: number): string {
  return nameOf(CODECS, code)
}

/** `sha2-256`, or `0x…` for a hash function without a name here. */
export function hashName(code: number): string {
  return nameOf(HASHES, code)
}

/** The number of a codec; undefined if it is not known by this name. */
export function codecOf(name: string): number | undefined {
  return CODECS.get(name)
}

/** The number of a hash function; undefined if it is not known by this name. */
export function hashOf(name: string): number | undefined {
  return HASHES.get(name)
}

export function hashNames(): string[] {
  return [...HASHES.keys()]
}

export function codecNames(): string[] {
  return [...CODECS.keys()]
}

function nameOf(table: Map<string, number>, code: number): string {
  for (const [name, number] of table) if (number === code) return name
  return `0x${code.toString(16)}`
}
