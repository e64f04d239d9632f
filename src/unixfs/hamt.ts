/**
 * Builds the HAMT of a folder that is too large for one block. Called by `nodes.ts`; how shards are laid out is in
 * `shard.ts`.
 * @see https://specs.ipfs.tech/unixfs/#hamt-sharded-directory
 */

import type { AbortOptions } from '../common/abort.ts'
import { mapBounded } from '../common/concurrency.ts'
import { P2PError } from '../common/errors.ts'
import type { DirectoryEntry } from './directory-entry.ts'
import { type BlockSink, type NodeRef, saveNode } from './save-node.ts'
import { bucketAt, bucketPrefix, hashName, MURMUR3_X64_64 } from './shard.ts'
import type { UnixfsData } from './unixfs-data.ts'

/** Of profile `unixfs-v1-2025`, and of every other one. */
const FANOUT = 256

/** Shards that are made at the same time: enough to keep a disk busy, few enough to be small in memory. */
const SHARDS_AT_ONCE = 16

interface HashedEntry {
  entry: DirectoryEntry
  hash: bigint
}

/**
 * Stores the shards bottom-up and returns the root.
 *
 * @throws P2PError `limit` for names whose hashes are equal in all 64 bits; `io`, `disk-full`
 */
export async function buildShards(
  entries: DirectoryEntry[],
  store: BlockSink,
  options: AbortOptions,
): Promise<NodeRef> {
  const hashed = entries.map((entry) => ({ entry, hash: hashName(entry.name) }))
  return await buildShard(hashed, 0, store, options)
}

async function buildShard(
  entries: HashedEntry[],
  depth: number,
  store: BlockSink,
  options: AbortOptions,
): Promise<NodeRef> {
  const buckets = intoBuckets(entries, depth)
  const used = [...buckets.keys()].sort((one, other) => one - other)
  // Only the children of the root are made side by side, so that the number of writes under way stays bounded.
  const links = await mapBounded(used, depth === 0 ? SHARDS_AT_ONCE : 1, async (bucket) => {
    const prefix = bucketPrefix(bucket, FANOUT)
    const members = buckets.get(bucket)!
    if (members.length === 1) return { ...members[0]!.entry, name: prefix + members[0]!.entry.name }
    return { ...(await buildShard(members, depth + 1, store, options)), name: prefix }
  })
  const unixfs: UnixfsData = {
    type: 'hamt-shard',
    data: bitfield(used),
    hashType: MURMUR3_X64_64,
    fanout: FANOUT,
    blockSizes: [],
  }
  return await saveNode(unixfs, links, store, options)
}

function intoBuckets(entries: HashedEntry[], depth: number): Map<number, HashedEntry[]> {
  const buckets = new Map<number, HashedEntry[]>()
  for (const hashed of entries) {
    const bucket = bucketAt(hashed.hash, depth, FANOUT)
    if (bucket === undefined) {
      throw new P2PError(
        'limit',
        `The names "${entries[0]!.entry.name}" and "${entries[1]!.entry.name}" have the same hash`,
        {
          hint: 'A folder of this size cannot hold both; rename one of them.',
        },
      )
    }
    const members = buckets.get(bucket)
    if (members === undefined) buckets.set(bucket, [hashed])
    else members.push(hashed)
  }
  return buckets
}

/** A big-endian number with one bit a bucket, without leading zero bytes. */
function bitfield(buckets: number[]): Uint8Array {
  const bytes = new Uint8Array(Math.floor(Math.max(...buckets) / 8) + 1)
  for (const bucket of buckets) bytes[bytes.length - 1 - (bucket >> 3)]! |= 1 << (bucket & 7)
  return bytes
}
