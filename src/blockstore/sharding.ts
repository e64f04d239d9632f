/**
 * Where a block lies in the store's folder, in the layout of `blockstore-fs`: `<shard>/<multihash in base32>.data`. The
 * index of held blocks (`pin/held-blocks.ts`) is in the same order, so that a shard can be compared with its part of it.
 */

import { basename } from 'node:path'
import { base32upper } from 'multiformats/bases/base32'
import type { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { type BlockKey, multihashOfKey, rawCid } from '../dag/cid.ts'

export const EXTENSION = '.data'

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

/** The shard alone, from the end of the name: most blocks that a download looks for are in none that is there. */
export function shardOfMultihash(multihash: Uint8Array): string {
  // Five bytes are eight characters, so that what comes before does not matter.
  const tail = multihash.subarray(5 * Math.max(0, Math.ceil(multihash.byteLength / 5) - 2))
  return shardOfName(base32upper.encode(tail))
}

/** The last character of a SHA2-256 carries two bits only; the two before it make 1,024 shards, as in flatfs. */
function shardOfName(name: string): string {
  return name.slice(-3, -1)
}
