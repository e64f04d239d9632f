/**
 * The dag-pb nodes that we make ourselves: folders and symlinks, as Kubo encodes them. Files come from `importer.ts`;
 * whoever builds a tree (`node/operations/add.ts`) makes children first and hands a folder its finished entries.
 * @see https://specs.ipfs.tech/unixfs/#dag-pb-directory
 */

import type { AbortOptions } from '../common/abort.ts'
import { bytesFieldLength, varintFieldLength } from '../common/protobuf.ts'
import { KiB } from '../common/units.ts'
import type { DirectoryEntry } from './directory-entry.ts'
import { buildShards } from './hamt.ts'
import { type BlockSink, type NodeRef, saveNode } from './save-node.ts'
import { encodeUnixfs, type UnixfsData } from './unixfs-data.ts'

/**
 * The largest folder of profile `unixfs-v1-2025` that stays one block; above it becomes a HAMT.
 * @see https://github.com/ipfs/specs/blob/main/src/ipips/ipip-0499.md
 */
const MAX_PLAIN_DIRECTORY_BYTES = 256 * KiB

const DIRECTORY: UnixfsData = { type: 'directory', blockSizes: [] }
const DIRECTORY_DATA_BYTES = bytesFieldLength(encodeUnixfs(DIRECTORY).length)

/**
 * Makes a folder, plain or sharded. Entries may come in any order; names have to differ.
 *
 * @throws P2PError `io`, `disk-full`
 */
export async function buildDirectory(
  entries: DirectoryEntry[],
  store: BlockSink,
  options: AbortOptions = {},
): Promise<NodeRef> {
  if (plainDirectoryBytes(entries) > MAX_PLAIN_DIRECTORY_BYTES) return await buildShards(entries, store, options)
  return await saveNode(DIRECTORY, entries.toSorted(byNameBytes), store, options)
}

/** Makes a symlink; `target` is kept as it is. @throws P2PError `io`, `disk-full` */
export async function buildSymlink(target: string, store: BlockSink, options: AbortOptions = {}): Promise<NodeRef> {
  return await saveNode({ type: 'symlink', data: Buffer.from(target, 'utf8'), blockSizes: [] }, [], store, options)
}

/** The size of the block that holds these entries, without making it. */
function plainDirectoryBytes(entries: DirectoryEntry[]): number {
  return entries.reduce((sum, entry) => sum + linkBytes(entry), DIRECTORY_DATA_BYTES)
}

function linkBytes({ name, cid, tsize }: DirectoryEntry): number {
  const link = bytesFieldLength(cid.byteLength) + bytesFieldLength(Buffer.byteLength(name)) + varintFieldLength(tsize)
  return bytesFieldLength(link)
}

/** dag-pb orders links by the bytes of their names, which is not the order of JavaScript's strings. */
function byNameBytes(one: DirectoryEntry, other: DirectoryEntry): number {
  return Buffer.compare(Buffer.from(one.name), Buffer.from(other.name))
}
