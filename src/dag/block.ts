/**
 * Blocks, and the check that everything which enters or leaves this process goes through: the bytes hash to the CID.
 * The hash functions are the row of `hashers` below; a CID with another one is refused before anything is asked for.
 */

import { createHash } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import { P2PError } from '../common/errors.ts'
import { MiB } from '../common/units.ts'
import {
  IDENTITY_HASH,
  MAX_CID_BYTES,
  MAX_DIGEST_BYTES,
  MAX_IDENTITY_BYTES,
  MIN_DIGEST_BYTES,
  SHA2_256,
} from './cid.ts'

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

type DigestFunction = (bytes: Uint8Array) => Uint8Array

/** Multihash code to hash function. @see https://github.com/multiformats/multicodec/blob/master/table.csv */
const hashers = new Map<number, DigestFunction>([
  [IDENTITY_HASH, (bytes) => bytes],
  [SHA2_256, (bytes) => createHash('sha256').update(bytes).digest()],
  [0x13, (bytes) => createHash('sha512').update(bytes).digest()],
])

const NO_BYTES = new Uint8Array(0)
/** Looked at for every block that is asked for. */
const emptyDigests = new Map([...hashers].map(([code, digest]) => [code, digest(NO_BYTES)]))

/** The digest of `bytes`, or undefined if the hash function is not supported. */
export function digestOf(hashCode: number, bytes: Uint8Array): Uint8Array | undefined {
  return hashers.get(hashCode)?.(bytes)
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
  if (!hashers.has(code)) return `hash function 0x${code.toString(16)} is not supported`
  if (code === IDENTITY_HASH) {
    return digest.byteLength > MAX_IDENTITY_BYTES ? `identity data above ${MAX_IDENTITY_BYTES} bytes` : undefined
  }
  if (digest.byteLength < MIN_DIGEST_BYTES) return `digest below ${MIN_DIGEST_BYTES} bytes`
  if (digest.byteLength > MAX_DIGEST_BYTES) return `digest above ${MAX_DIGEST_BYTES} bytes`
  return undefined
}

/**
 * The bytes of a block that its CID tells by itself, because they are in it or because there are none. Nobody needs to
 * be asked for these, and Kubo never sends an empty one.
 */
export function bytesInCid(cid: CID): Uint8Array | undefined {
  const { code, digest } = cid.multihash
  if (code === IDENTITY_HASH) return digest
  const emptyDigest = emptyDigests.get(code)
  return emptyDigest !== undefined && Buffer.compare(emptyDigest, digest) === 0 ? NO_BYTES : undefined
}

/** True if the bytes hash to the CID. False also for a hash function that is not supported. */
export function matchesCid(cid: CID, bytes: Uint8Array): boolean {
  const digest = digestOf(cid.multihash.code, bytes)
  return digest !== undefined && Buffer.compare(digest, cid.multihash.digest) === 0
}
