/**
 * The hash functions that a CID may name: those that boxo allows, and no others. Used by `block.ts`, which everything
 * that checks a block goes through.
 * @see https://github.com/ipfs/boxo/blob/main/verifcid/allowlist.go
 * @see https://github.com/multiformats/multicodec/blob/master/table.csv
 */

import { createHash, hash } from 'node:crypto'
import { createRequire } from 'node:module'
import { IDENTITY_HASH, MIN_DIGEST_BYTES, SHA2_256 } from './cid.ts'

export interface HashFunction {
  /** As people write it, and Kubo: that of the table of multicodecs. */
  name: string
  /** Its usual digest. */
  digestBytes: number
  /** Its longest digest; a shorter one is the start of it. */
  maxDigestBytes: number
  /** At least the first `digestBytes` bytes of the digest. */
  digest(bytes: Uint8Array, digestBytes: number): Uint8Array
}

/** BLAKE2 has one code for each length of digest in bytes. */
const BLAKE2B_1 = 0xb201
const BLAKE2B_MAX_BYTES = 64
const BLAKE2S_1 = 0xb241
const BLAKE2S_MAX_BYTES = 32

// What Node lacks is loaded when a block needs it: nearly none does, and loading takes as long as many a command.
const require = createRequire(import.meta.url)
const sha3 = () => require('@noble/hashes/sha3.js') as typeof import('@noble/hashes/sha3.js')
const blake2 = () => require('@noble/hashes/blake2.js') as typeof import('@noble/hashes/blake2.js')
const blake3 = () => require('@noble/hashes/blake3.js') as typeof import('@noble/hashes/blake3.js')

const FUNCTIONS = new Map<number, HashFunction>([
  [IDENTITY_HASH, fixed('identity', Number.POSITIVE_INFINITY, (bytes) => bytes)],
  [0x11, native('sha1', 'sha1', 20)],
  [SHA2_256, native('sha2-256', 'sha256', 32)],
  [0x13, native('sha2-512', 'sha512', 64)],
  [0x14, native('sha3-512', 'sha3-512', 64)],
  [0x15, native('sha3-384', 'sha3-384', 48)],
  [0x16, native('sha3-256', 'sha3-256', 32)],
  [0x17, native('sha3-224', 'sha3-224', 28)],
  [0x19, fixed('shake-256', 64, (bytes) => createHash('shake256', { outputLength: 64 }).update(bytes).digest())],
  [0x1a, fixed('keccak-224', 28, (bytes) => sha3().keccak_224(bytes))],
  [0x1b, fixed('keccak-256', 32, (bytes) => sha3().keccak_256(bytes))],
  [0x1c, fixed('keccak-384', 48, (bytes) => sha3().keccak_384(bytes))],
  [0x1d, fixed('keccak-512', 64, (bytes) => sha3().keccak_512(bytes))],
  [
    0x1e,
    {
      name: 'blake3',
      digestBytes: 32,
      maxDigestBytes: 128,
      digest: (bytes, digestBytes) => blake3().blake3(bytes, { dkLen: Math.max(digestBytes, 32) }),
    },
  ],
  [0x56, fixed('dbl-sha2-256', 32, (bytes) => sha256(sha256(bytes)))],
  ...eachLength(BLAKE2B_1, BLAKE2B_MAX_BYTES, 'blake2b', (bytes, dkLen) => blake2().blake2b(bytes, { dkLen })),
  ...eachLength(BLAKE2S_1, BLAKE2S_MAX_BYTES, 'blake2s', (bytes, dkLen) => blake2().blake2s(bytes, { dkLen })),
  [BLAKE2B_1 + BLAKE2B_MAX_BYTES - 1, native('blake2b-512', 'blake2b512', BLAKE2B_MAX_BYTES)],
  [BLAKE2S_1 + BLAKE2S_MAX_BYTES - 1, native('blake2s-256', 'blake2s256', BLAKE2S_MAX_BYTES)],
])

/** The function of a multihash code, or undefined for one that is not accepted. */
export function hashFunction(code: number): HashFunction | undefined {
  return FUNCTIONS.get(code)
}

/** `sha2-256`, or `0x…` for a hash function that is not accepted. */
export function hashName(code: number): string {
  return FUNCTIONS.get(code)?.name ?? `0x${code.toString(16)}`
}

/** The multihash code of a function; undefined if none is accepted by this name. */
export function hashOf(name: string): number | undefined {
  for (const [code, hash] of FUNCTIONS) if (hash.name === name) return code
  return undefined
}

export function hashNames(): string[] {
  return Array.from(FUNCTIONS.values(), ({ name }) => name)
}

function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer')
}

/** One of OpenSSL's. In one call, which for a small block costs two thirds of what an object does. */
function native(name: string, nameInOpenssl: string, digestBytes: number): HashFunction {
  return fixed(name, digestBytes, (bytes) => hash(nameInOpenssl, bytes, 'buffer'))
}

function fixed(name: string, digestBytes: number, digest: (bytes: Uint8Array) => Uint8Array): HashFunction {
  return { name, digestBytes, maxDigestBytes: digestBytes, digest }
}

/** The function for each length that is long enough to be accepted. */
function eachLength(
  firstCode: number,
  maxBytes: number,
  name: string,
  digest: (bytes: Uint8Array, digestBytes: number) => Uint8Array,
): [number, HashFunction][] {
  return Array.from({ length: maxBytes - MIN_DIGEST_BYTES + 1 }, (_, index) => {
    const length = MIN_DIGEST_BYTES + index
    return [firstCode + length - 1, fixed(`${name}-${8 * length}`, length, (bytes) => digest(bytes, length))]
  })
}
