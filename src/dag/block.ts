/**
 * Blocks, and the check that everything which enters or leaves this process goes through: the bytes hash to the CID. A
 * CID with a hash function that is not in `hashes.ts` is refused before anything is asked for.
 */

import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import { P2PError } from '../common/errors.ts'
import { MiB } from '../common/units.ts'
import { IDENTITY_HASH, MAX_CID_BYTES, MAX_DIGEST_BYTES, MAX_IDENTITY_BYTES, MIN_DIGEST_BYTES } from './cid.ts'
import { hashFunction } from './hashes.ts'

/** The largest block that bitswap peers exchange. @see https://specs.ipfs.tech/bitswap-protocol/#block-sizes */
export const MAX_BLOCK_BYTES = 2 * MiB

export interface Block {
  cid: CID
  bytes: Uint8Array
}

export interface FetchOptions extends AbortOptions {
  /** How many bytes the block is expected to have; for scheduling only, never trusted. */
  expectedBytes?: number | undefined
}

/** Whatever can give a block, from a store or from peers. What it gives has been verified. */
export interface BlockReader {
  /** @throws P2PError `not-found`, `no-provider`, `verification`; the signal's reason when aborted */
  fetch(cid: CID, options?: FetchOptions): Promise<Uint8Array>
}

const NO_BYTES = new Uint8Array(0)
/** By hash function, once each has been asked for: looked at for every block. */
const emptyDigests = new Map<number, Uint8Array>()

/**
 * The digest of `bytes`, or undefined if the hash function is not accepted or gives none so long.
 *
 * @param digestBytes - its length; default: what is usual for the function
 */
export function digestOf(hashCode: number, bytes: Uint8Array, digestBytes?: number): Uint8Array | undefined {
  const hash = hashFunction(hashCode)
  if (hash === undefined || (digestBytes ?? 0) > hash.maxDigestBytes) return undefined
  const digest = hash.digest(bytes, digestBytes ?? hash.digestBytes)
  return digestBytes === undefined ? digest : digest.subarray(0, digestBytes)
}

/**
 * Refuses CIDs that must not be asked for, served or stored: unknown hash, weak or oversized digest.
 * @see https://github.com/ipfs/boxo/tree/main/verifcid
 * @throws P2PError `bad-ref`
 */
export function assertAllowedCid(cid: CID): void {
  const reason = whyRefused(cid)
  if (reason !== undefined) throw new P2PError('bad-ref', `CID ${cid.toString().slice(0, 80)} is refused: ${reason}`)
}

/** Why {@link assertAllowedCid} would refuse, or undefined if it would not. */
export function whyRefused(cid: CID): string | undefined {
  const { code, digest } = cid.multihash
  if (cid.bytes.byteLength > MAX_CID_BYTES) return `longer than ${MAX_CID_BYTES} bytes`
  const hash = hashFunction(code)
  if (hash === undefined) return `hash function 0x${code.toString(16)} is not supported`
  if (code === IDENTITY_HASH) {
    return digest.byteLength > MAX_IDENTITY_BYTES ? `identity data above ${MAX_IDENTITY_BYTES} bytes` : undefined
  }
  if (digest.byteLength < MIN_DIGEST_BYTES) return `digest below ${MIN_DIGEST_BYTES} bytes`
  if (digest.byteLength > MAX_DIGEST_BYTES) return `digest above ${MAX_DIGEST_BYTES} bytes`
  if (digest.byteLength > hash.maxDigestBytes) return `${digest.byteLength} bytes are more than ${hash.name} gives`
  return undefined
}

/**
 * The bytes of a block that its CID tells by itself, because they are in it or because there are none. Nobody needs to
 * be asked for these, and Kubo never sends an empty one.
 */
export function bytesInCid(cid: CID): Uint8Array | undefined {
  const { code, digest } = cid.multihash
  if (code === IDENTITY_HASH) return digest
  const empty = emptyDigestOf(code)
  const isEmpty = empty !== undefined && Buffer.compare(empty.subarray(0, digest.byteLength), digest) === 0
  return isEmpty ? NO_BYTES : undefined
}

/** The longest digest of no bytes. */
function emptyDigestOf(code: number): Uint8Array | undefined {
  let digest = emptyDigests.get(code)
  if (digest === undefined) {
    digest = digestOf(code, NO_BYTES, hashFunction(code)?.maxDigestBytes)
    if (digest !== undefined) emptyDigests.set(code, digest)
  }
  return digest
}

/** True if the bytes hash to the CID. False also for a hash function that is not supported. */
export function matchesCid(cid: CID, bytes: Uint8Array): boolean {
  const { code, digest } = cid.multihash
  // Identity data of another length is a prefix of the bytes at most, and no block.
  if (code === IDENTITY_HASH) return Buffer.compare(bytes, digest) === 0
  const actual = digestOf(code, bytes, digest.byteLength)
  return actual !== undefined && Buffer.compare(actual, digest) === 0
}
