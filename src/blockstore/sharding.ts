/**
 * Where a block lies in the store's folder, in the layout of `blockstore-fs`: `<shard>/<multihash in base32>.data`. The
 * index of held blocks (`pin/held-blocks.ts`) is in the same order, so that a shard can be compared with its part of it.
 */

import { basename } from 'node:path'
import { base32upper } from 'multiformats/bases/base32'
import type { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { type BlockKey, keyOfMultihash, multihashOfKey, rawCid } from '../dag/cid.ts'

export const EXTENSION = '.data'
/** Of base32, five bits a character. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const BITS = 5
export const SHARD_CHARACTERS = 2

/** What the library asks of a layout. */
export const sharding = {
  extension: EXTENSION,
  encode(cid: CID): { dir: string; file: string } {
    const name = base32upper.encode(cid.multihash.bytes)
    return { dir: shardOfName(name), file: name + EXTENSION }
  },
  decode(path: string): CID {
    try {
      return rawCid(Digest.decode(base32upper.decode(basename(path, EXTENSION))))
    } catch (cause) {
      // A file that somebody else put here. The library passes over what this code says is gone.
      throw Object.assign(new Error(`${path} is not a block`, { cause }), { code: 'ENOENT' })
    }
  },
}

export function shardOf(key: BlockKey): string {
  return shardOfMultihash(multihashOfKey(key))
}

/** A database key that is in the order of the shards: the shard, and the multihash. @param shard - of this block */
export function shardedKey(key: BlockKey, shard = shardOf(key)): Buffer {
  return Buffer.from(shard + key, 'latin1')
}

/** The block of a key that {@link shardedKey} has made. */
export function keyOfSharded(sharded: Uint8Array): BlockKey {
  return keyOfMultihash(sharded.subarray(SHARD_CHARACTERS))
}

/** The shard alone, without the name: asked for each block that is looked for, most of which are not here. */
export function shardOfMultihash(multihash: Uint8Array): string {
  const characters = Math.ceil((8 * multihash.byteLength) / BITS)
  // Two characters are ten bits, which lie in three bytes at most.
  const firstBit = BITS * (characters - 3)
  const start = firstBit >> 3
  const bytes = (multihash[start]! << 16) | (multihash[start + 1]! << 8) | (multihash[start + 2] ?? 0)
  const both = bytes >> (24 - 2 * BITS - (firstBit & 7))
  return ALPHABET.charAt((both >> BITS) & 31) + ALPHABET.charAt(both & 31)
}

/** The last character of a SHA2-256 carries two bits only; the two before it make 1,024 shards, as in flatfs. */
function shardOfName(name: string): string {
  return name.slice(-3, -1)
}
