/**
 * Builds the HAMT of a folder that is too large for one block. Called by `nodes.ts`; how shards are laid out is in
 * `shard.ts`.
 * @see https://specs.ipfs.tech/unixfs/#hamt-sharded-directory
 */

import { mapBounded } from '../common/concurrency.ts'
import { P2PError } from '../common/errors.ts'
import { linkTo, type NodeLink, type NodeRef, type NodeWriter } from './node-writer.ts'
import { bucketAt, bucketPrefix, hashName, MURMUR3_X64_64 } from './shard.ts'
import type { Metadata, UnixfsData } from './unixfs-data.ts'

/** Shards that are made at the same time: enough to keep a disk busy, few enough to be small in memory. */
const SHARDS_AT_ONCE = 16

export interface HamtOptions {
  /** Buckets of a shard: a power of two. */
  fanout: number
  /** Of the folder: kept by the root shard alone. */
  metadata?: Metadata
}

/** The entries, and the hashes of their names in the same order: ascending, so that those of a bucket are neighbours. */
interface HashedEntries {
  entries: NodeLink[]
  hashes: BigUint64Array
}

/** A part of {@link HashedEntries}, its end excluded. */
interface Range {
  start: number
  end: number
}

/**
 * Stores the shards bottom-up and returns the root.
 *
 * @throws P2PError `limit` for names whose hashes are equal in all the bits that are used; `io`, `disk-full`
 */
export async function buildShards(
  entries: NodeLink[],
  writer: NodeWriter,
  { fanout, metadata = {} }: HamtOptions,
): Promise<NodeRef> {
  const hashed = sortByHash(entries)
  const build = async ({ start, end }: Range, depth: number): Promise<NodeRef> => {
    const buckets = intoBuckets(hashed, { start, end }, depth, fanout)
    // Only the children of the root are made side by side, so that the number of writes under way stays bounded.
    const links = await mapBounded(buckets, depth === 0 ? SHARDS_AT_ONCE : 1, async ({ bucket, ...range }) => {
      const prefix = bucketPrefix(bucket, fanout)
      const entry = hashed.entries[range.start]!
      if (range.end === range.start + 1) return { ...entry, name: prefix + entry.name }
      return linkTo(prefix, await build(range, depth + 1))
    })
    const data = bitfield(buckets.map(({ bucket }) => bucket))
    const shard: UnixfsData = { type: 'hamt-shard', data, hashType: MURMUR3_X64_64, fanout, blockSizes: [] }
    return await writer.save(depth === 0 ? { ...shard, ...metadata } : shard, links)
  }
  return await build({ start: 0, end: entries.length }, 0)
}

function sortByHash(entries: NodeLink[]): HashedEntries {
  const unsorted = BigUint64Array.from(entries, ({ name }) => hashName(name))
  const order = Uint32Array.from(entries.keys()).sort((one, other) => (unsorted[one]! < unsorted[other]! ? -1 : 1))
  return {
    entries: Array.from(order, (index) => entries[index]!),
    hashes: BigUint64Array.from(order, (index) => unsorted[index]!),
  }
}

/** The buckets that are used, ascending. */
function intoBuckets(
  { entries, hashes }: HashedEntries,
  { start, end }: Range,
  depth: number,
  fanout: number,
): (Range & { bucket: number })[] {
  const buckets: (Range & { bucket: number })[] = []
  for (let index = start; index < end; index++) {
    const bucket = bucketAt(hashes[index]!, depth, fanout)
    if (bucket === undefined) throw sameHash(entries[start]!.name, entries[start + 1]!.name)
    const last = buckets.at(-1)
    if (last?.bucket === bucket) last.end = index + 1
    else buckets.push({ bucket, start: index, end: index + 1 })
  }
  return buckets
}

function sameHash(one: string, other: string): P2PError {
  return new P2PError('limit', `The names "${one}" and "${other}" have the same hash`, {
    hint: 'A folder of this size cannot hold both; rename one of them.',
  })
}

/** A big-endian number with one bit a bucket, without leading zero bytes. @param buckets - ascending */
function bitfield(buckets: number[]): Uint8Array {
  const bytes = new Uint8Array(Math.floor((buckets.at(-1) ?? 0) / 8) + 1)
  for (const bucket of buckets) bytes[bytes.length - 1 - (bucket >> 3)]! |= 1 << (bucket & 7)
  return bytes
}
