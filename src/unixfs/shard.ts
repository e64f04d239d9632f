/**
 * How a HAMT shard is laid out, for reading (`decode.ts`, `path.ts`) and writing (`hamt.ts`): the bucket of a name at each
 * depth, and the link names that begin with a bucket.
 * @see https://specs.ipfs.tech/unixfs/#hamt-sharded-directory
 */

import { murmur3128 } from '@multiformats/murmur3'
import type { CID } from 'multiformats/cid'
import { P2PError } from '../common/errors.ts'
import type { DirectoryEntry } from './directory-entry.ts'
import type { UnixfsData } from './unixfs-data.ts'

/** The only hash function of HAMT folders: the first half of murmur3-x64-128. */
export const MURMUR3_X64_64 = 0x22
/** A bitfield has whole bytes. */
export const MIN_FANOUT = 8
/** boxo's limit; wider shards were a denial of service (CVE-2023-23625). */
export const MAX_FANOUT = 1024

/** The 64 bits of a name that say where it lies. */
export function hashName(name: string): bigint {
  const digest = murmur3128.encode(Buffer.from(name, 'utf8')) as Uint8Array
  return Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).readBigUInt64BE(0)
}

/** The bucket of a hashed name at a depth (0 = root), or undefined where its 64 bits are used up. */
export function bucketAt(hash: bigint, depth: number, fanout: number): number | undefined {
  const bits = Math.log2(fanout)
  const shift = 64 - bits * (depth + 1)
  return shift < 0 ? undefined : Number((hash >> BigInt(shift)) & BigInt(fanout - 1))
}

/** The start of a link's name: its bucket in upper-case hex. */
export function bucketPrefix(bucket: number, fanout: number): string {
  return bucket.toString(16).toUpperCase().padStart(prefixWidth(fanout), '0')
}

/** How many characters a bucket takes in a link's name. */
function prefixWidth(fanout: number): number {
  return (fanout - 1).toString(16).length
}

/**
 * Whether a name belongs where it was found: `buckets` are those that led to it, from the root shard down. A name has
 * one such place in a folder, so that names which are in theirs differ.
 */
export function isInPlace(name: string, buckets: readonly number[], fanout: number): boolean {
  const hash = hashName(name)
  return buckets.every((bucket, depth) => bucketAt(hash, depth, fanout) === bucket)
}

export interface Shard {
  fanout: number
  entries: DirectoryEntry[]
  /** `entries[i]` lies in the hash bucket `entryBuckets[i]`. */
  entryBuckets: number[]
  subShards: CID[]
  /** `subShards[i]` stands for the hash bucket `subShardBuckets[i]`. */
  subShardBuckets: number[]
}

/**
 * Checks a shard against its bitfield and takes the buckets off its entries' names.
 *
 * @throws P2PError `bad-data`
 */
export function readShard(unixfs: UnixfsData, links: DirectoryEntry[]): Shard {
  const { hashType, fanout } = unixfs
  if (hashType !== MURMUR3_X64_64) throw new P2PError('bad-data', `a HAMT shard with hash function ${hashType}`)
  if (fanout === undefined || !isAllowedFanout(fanout))
    throw new P2PError('bad-data', `a HAMT shard of fanout ${fanout}`)
  const buckets = setBits(unixfs.data ?? new Uint8Array(0), fanout)
  if (buckets.length !== links.length) {
    throw new P2PError('bad-data', `a HAMT shard of ${buckets.length} buckets with ${links.length} links`)
  }
  const width = prefixWidth(fanout)
  const shard: Shard = { fanout, entries: [], entryBuckets: [], subShards: [], subShardBuckets: [] }
  links.forEach(({ name, cid, tsize }, index) => {
    const bucket = buckets[index]!
    if (name.slice(0, width) !== bucketPrefix(bucket, fanout)) {
      throw new P2PError('bad-data', `a HAMT link that does not begin with its bucket ${bucketPrefix(bucket, fanout)}`)
    }
    if (name.length > width) {
      shard.entries.push({ name: name.slice(width), cid, tsize })
      shard.entryBuckets.push(bucket)
    } else {
      shard.subShards.push(cid)
      shard.subShardBuckets.push(bucket)
    }
  })
  return shard
}

/** Powers of two between the bounds. */
export function isAllowedFanout(fanout: number): boolean {
  return fanout >= MIN_FANOUT && fanout <= MAX_FANOUT && Number.isInteger(Math.log2(fanout))
}

/** The positions of the set bits, ascending; the bitfield is a big-endian number, bit i for bucket i. */
function setBits(bitfield: Uint8Array, fanout: number): number[] {
  if (bitfield.length > fanout / 8) throw new P2PError('bad-data', 'a HAMT bitfield wider than its fanout')
  const positions: number[] = []
  for (let position = 0; position < bitfield.length * 8; position++) {
    const byte = bitfield[bitfield.length - 1 - (position >> 3)]!
    if (byte & (1 << (position & 7))) positions.push(position)
  }
  return positions
}
