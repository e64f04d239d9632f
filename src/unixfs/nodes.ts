/**
 * Folders and symlinks as Kubo encodes them. Files come from `importer.ts`; whoever builds a tree
 * (`node/operations/import-tree.ts`) makes children first and hands a folder its finished entries.
 * @see https://specs.ipfs.tech/unixfs/#dag-pb-directory
 */

import { bytesFieldLength } from '../common/protobuf.ts'
import { buildShards } from './hamt.ts'
import { type ImportSettings, MAX_DIRECTORY_BYTES } from './import-settings.ts'
import { linkFieldLength, type NodeLink, type NodeRef, type NodeWriter } from './node-writer.ts'
import { encodeUnixfs, type Metadata, type UnixfsData } from './unixfs-data.ts'

type DirectorySettings = Pick<ImportSettings, 'directorySize' | 'maxDirectoryLinks' | 'maxHamtFanout'>

/**
 * Makes a folder, plain or sharded. Entries may come in any order; names have to differ.
 *
 * @throws P2PError `limit`, `io`, `disk-full`
 */
export async function buildDirectory(
  entries: NodeLink[],
  writer: NodeWriter,
  settings: DirectorySettings,
  metadata: Metadata = {},
): Promise<NodeRef> {
  const directory: UnixfsData = { type: 'directory', blockSizes: [], ...metadata }
  if (isSharded(directory, entries, settings)) {
    return await buildShards(entries, writer, { fanout: settings.maxHamtFanout, metadata })
  }
  return await writer.save(directory, entries.toSorted(byNameBytes))
}

/** Makes a symlink; `target` is kept as it is. @throws P2PError `io`, `disk-full` */
export async function buildSymlink(
  target: string,
  writer: NodeWriter,
  { mtime }: Pick<Metadata, 'mtime'> = {},
): Promise<NodeRef> {
  return await writer.save({ type: 'symlink', data: Buffer.from(target, 'utf8'), blockSizes: [], mtime })
}

function isSharded(
  directory: UnixfsData,
  entries: NodeLink[],
  { directorySize, maxDirectoryLinks }: DirectorySettings,
): boolean {
  if (maxDirectoryLinks > 0 && entries.length > maxDirectoryLinks) return true
  const bytes = directorySize === 'block' ? blockBytes(directory, entries) : linksBytes(entries)
  return bytes > MAX_DIRECTORY_BYTES
}

/** The size of the plain folder's block, without making it. */
function blockBytes(directory: UnixfsData, entries: NodeLink[]): number {
  const dataBytes = bytesFieldLength(encodeUnixfs(directory).byteLength)
  return entries.reduce((sum, entry) => sum + linkFieldLength(entry), dataBytes)
}

function linksBytes(entries: NodeLink[]): number {
  return entries.reduce((sum, { name, cid }) => sum + Buffer.byteLength(name) + cid.byteLength, 0)
}

/** dag-pb orders links by the bytes of their names, which is not the order of JavaScript's strings. */
function byNameBytes(one: NodeLink, other: NodeLink): number {
  return Buffer.compare(Buffer.from(one.name), Buffer.from(other.name))
}
