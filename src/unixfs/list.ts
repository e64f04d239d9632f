/**
 * What is in a folder, plain or sharded, and in those below it: entry by entry, in the order of the links, so that memory
 * holds one path down and a little that is read ahead. Names are told as they stand there. Called by
 * `node/operations/ls.ts`.
 */

import type { CID } from 'multiformats/cid'
import { mapAhead } from '../common/concurrency.ts'
import { P2PError } from '../common/errors.ts'
import { whyRefused } from '../dag/block.ts'
import { type BlockKey, blockKey, RAW } from '../dag/cid.ts'
import { type DecodedNode, decodeNode } from './decode.ts'
import { type Description, describeBlock } from './describe.ts'
import type { DirectoryEntry } from './directory-entry.ts'

const MAX_DEPTH = 256
const READ_AHEAD = 16

type Folder = Extract<DecodedNode, { kind: 'directory' | 'shard' }>
type ShardFolder = Extract<DecodedNode, { kind: 'shard' }>

export interface ListedEntry extends DirectoryEntry {
  /** Names from the folder that is listed down. */
  path: readonly string[]
  /** undefined where it was not looked at. */
  description: Description | undefined
}

export interface ListOptions {
  /** Gives a node of a folder, and of what lies in it. */
  readNode: (cid: CID) => Promise<Uint8Array>
  /** Look at each entry. */
  describe: boolean
  /** List folders below, too; only with {@link describe}. */
  recursive: boolean
}

/**
 * @param folder - the node at the top
 * @throws P2PError `bad-data` for a damaged shard and above 256 levels; whatever the readers throw
 */
export async function* listFolder(
  folder: Folder,
  options: ListOptions,
  above: readonly string[] = [],
): AsyncGenerator<ListedEntry> {
  if (above.length >= MAX_DEPTH) throw new P2PError('bad-data', `The tree is deeper than ${MAX_DEPTH} levels`)
  if (!options.describe) {
    for await (const entries of groupsOf(folder, options)) {
      for (const entry of entries) yield { ...entry, path: [...above, entry.name], description: undefined }
    }
    return
  }
  const look = async (entry: DirectoryEntry) => ({ entry, description: await describeEntry(entry, options) })
  for await (const { entry, description } of mapAhead(entriesOf(folder, options), READ_AHEAD, look)) {
    const path = [...above, entry.name]
    yield { ...entry, path, description }
    if (options.recursive && description.type === 'folder') yield* listFolder(description.node, options, path)
  }
}

/** The content of a raw leaf does not have to come for its size, which its folder says. */
async function describeEntry({ cid, tsize }: DirectoryEntry, { readNode }: ListOptions): Promise<Description> {
  const refusal = whyRefused(cid)
  if (refusal !== undefined) return { type: 'malformed', reason: `its CID is refused: ${refusal}` }
  if (cid.code === RAW) return { type: 'file', bytes: tsize, node: undefined }
  return describeBlock(cid, await readNode(cid))
}

async function* entriesOf(folder: Folder, options: ListOptions): AsyncGenerator<DirectoryEntry> {
  for await (const entries of groupsOf(folder, options)) yield* entries
}

/** The entries of one node after the other. */
async function* groupsOf(folder: Folder, options: ListOptions): AsyncGenerator<DirectoryEntry[]> {
  if (folder.kind === 'directory') yield folder.entries
  else yield* shardGroups(folder, options, Math.floor(64 / Math.log2(folder.fanout)), new Set())
}

/**
 * @param levels - how many the hash of a name has bits for
 * @param seen - parts of the folder so far: one that comes again has no name that belongs there
 */
async function* shardGroups(
  shard: ShardFolder,
  options: ListOptions,
  levels: number,
  seen: Set<BlockKey>,
): AsyncGenerator<DirectoryEntry[]> {
  yield shard.entries
  if (shard.subShards.length > 0 && levels === 1) throw new P2PError('bad-data', 'A sharded folder is too deep')
  const readShard = async (cid: CID): Promise<ShardFolder> => {
    const node = decodeNode(cid, await options.readNode(cid))
    if (node.kind === 'shard' && node.fanout === shard.fanout) return node
    throw new P2PError('bad-data', `Block ${cid} is not part of a sharded folder`)
  }
  const isNew = (cid: CID) => seen.size < seen.add(blockKey(cid)).size
  for await (const below of mapAhead(shard.subShards.filter(isNew), READ_AHEAD, readShard)) {
    yield* shardGroups(below, options, levels - 1, seen)
  }
}

/**
 * Bytes of file content below a root, by what its nodes say; 0 for what is no file and no folder. A folder is read once,
 * however often it occurs, since a few can stand for endlessly many.
 *
 * @throws as {@link listFolder}
 */
export async function contentBytes(root: CID, readNode: ListOptions['readNode']): Promise<number> {
  const known = new Map<BlockKey, number>()
  const bytesOf = async (cid: CID, description: Description | undefined, path: readonly string[]): Promise<number> => {
    if (description?.type === 'file') return description.bytes
    if (description?.type !== 'folder') return 0
    const key = blockKey(cid)
    let bytes = known.get(key)
    if (bytes === undefined) {
      bytes = 0
      for await (const entry of listFolder(description.node, { readNode, describe: true, recursive: false }, path)) {
        bytes += await bytesOf(entry.cid, entry.description, entry.path)
      }
      known.set(key, bytes)
    }
    return bytes
  }
  const bytes = await bytesOf(root, describeBlock(root, await readNode(root)), [])
  return Math.min(bytes, Number.MAX_SAFE_INTEGER)
}
