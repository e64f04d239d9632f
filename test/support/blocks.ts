/** Blocks for tests of stores. */

import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import type { Block } from '../../src/dag/block.ts'
import { digestOf } from '../../src/dag/block.ts'
import { DAG_CBOR, DAG_PB, IDENTITY_HASH, RAW, rawCid, SHA2_256 } from '../../src/dag/cid.ts'
import { randomBytes } from './bytes.ts'

/** A raw block over these bytes. */
export function rawBlock(bytes: Uint8Array): Block {
  return { cid: rawCid(Digest.create(SHA2_256, digestOf(SHA2_256, bytes)!)), bytes }
}

/** The same block for the same seed and size. */
export function randomBlock(seed: string, byteCount: number): Block {
  return rawBlock(randomBytes(seed, byteCount))
}

/** A CID that holds these bytes itself. */
export function identityCid(bytes: Uint8Array): CID {
  return CID.createV1(RAW, Digest.create(IDENTITY_HASH, bytes))
}

/** The bytes with one bit changed. */
export function damaged(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[Math.floor(copy.byteLength / 2)]! ^= 1
  return copy
}

/** The `index`-th of a series of different raw blocks of `byteCount` bytes, at least 4. */
export function numberedBlock(index: number, byteCount = 8): Block {
  const bytes = Buffer.alloc(byteCount)
  bytes.writeUInt32BE(index)
  return rawBlock(bytes)
}

/** A dag-pb block of these bytes. */
export function dagPbBlock(bytes: Uint8Array): Block {
  return { cid: CID.createV1(DAG_PB, rawBlock(bytes).cid.multihash), bytes }
}

/** A dag-cbor block of this value; CIDs in it are its links. */
export function cborBlock(value: unknown): Block {
  const bytes = dagCbor.encode(value)
  return { cid: CID.createV1(DAG_CBOR, rawBlock(bytes).cid.multihash), bytes }
}
