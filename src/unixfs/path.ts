/**
 * Finds the node at `CID/a/b`, through plain and sharded folders, reading only the blocks on the way. Called by the
 * operations that take a reference.
 * @see https://specs.ipfs.tech/unixfs/#resolving-paths
 */

import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import { P2PError } from '../common/errors.ts'
import { closestName } from '../common/near-miss.ts'
import type { BlockReader } from '../dag/block.ts'
import { RAW } from '../dag/cid.ts'
import { type DecodedNode, decodeNode } from './decode.ts'
import { bucketAt, hashName } from './shard.ts'

const MAX_SEGMENTS = 256

const WHAT = { leaf: 'a file', file: 'a file', symlink: 'a symlink', opaque: 'a block of another kind' } as const

type ShardNode = Extract<DecodedNode, { kind: 'shard' }>

/**
 * The CID of what the segments lead to; without segments, `root` itself. Symlinks on the way are not followed.
 *
 * @throws P2PError `not-found` if a folder has no entry of that name, `bad-data` if the way leads through something else
 * than a folder, `bad-ref` above 256 segments; whatever the reader throws
 */
export async function resolvePath(
  root: CID,
  segments: string[],
  reader: BlockReader,
  options: AbortOptions = {},
): Promise<CID> {
  if (segments.length > MAX_SEGMENTS) throw new P2PError('bad-ref', `A path has at most ${MAX_SEGMENTS} segments`)
  let cid = root
  for (const [index, segment] of segments.entries()) {
    const path = [root, ...segments.slice(0, index)].join('/')
    // The block of a raw leaf may be large and cannot be a folder.
    if (cid.code === RAW) throw notAFolder(path, 'a file')
    const node = decodeNode(cid, await reader.fetch(cid, options))
    if (node.kind === 'directory') cid = findEntry(node, segment, path)
    else if (node.kind === 'shard') cid = await findInShards(node, segment, path, reader, options)
    else throw notAFolder(path, WHAT[node.kind])
  }
  return cid
}

function notAFolder(path: string, what: string): P2PError {
  return new P2PError('not-found', `${path} is ${what}, so nothing lies below it`)
}

function notFound(path: string, segment: string, hint?: string): P2PError {
  return new P2PError('not-found', `There is no "${segment}" in ${path}`, { hint })
}

function findEntry(node: Extract<DecodedNode, { kind: 'directory' }>, segment: string, path: string): CID {
  const entry = node.entries.find(({ name }) => name === segment)
  if (entry !== undefined) return entry.cid
  const similar = closestName(
    segment,
    node.entries.map(({ name }) => name),
  )
  throw notFound(path, segment, similar === undefined ? undefined : `Did you mean "${similar}"?`)
}

async function findInShards(
  root: ShardNode,
  segment: string,
  path: string,
  reader: BlockReader,
  options: AbortOptions,
): Promise<CID> {
  const hash = hashName(segment)
  let shard = root
  for (let depth = 0; ; depth++) {
    const entry = shard.entries.find(({ name }) => name === segment)
    if (entry !== undefined) return entry.cid
    const bucket = bucketAt(hash, depth, root.fanout)
    const below = bucket === undefined ? undefined : shard.subShards[shard.subShardBuckets.indexOf(bucket)]
    if (below === undefined) throw notFound(path, segment)
    const node = decodeNode(below, await reader.fetch(below, options))
    if (node.kind !== 'shard' || node.fanout !== root.fanout) {
      throw new P2PError('bad-data', `${path} is a damaged HAMT: ${below} is not a shard of it`)
    }
    shard = node
  }
}
