/**
 * Imports what stands at one local path, folders bottom-up: children first, then the node that names them. Memory holds
 * the entries of one folder and of those it lies in. Called by `add.ts`.
 */

import { join } from 'node:path'
import type { AbortOptions } from '../../common/abort.ts'
import { mapBounded } from '../../common/concurrency.ts'
import { P2PError } from '../../common/errors.ts'
import { MiB } from '../../common/units.ts'
import type { LeafTaker } from '../../files/referenced-import.ts'
import {
  inspectPath,
  type LocalEntry,
  listFolder,
  readFileContent,
  readSymlink,
  refusedError,
  type TreeOptions,
} from '../../files/tree.ts'
import type { DirectoryEntry } from '../../unixfs/directory-entry.ts'
import { importFile } from '../../unixfs/importer.ts'
import { buildDirectory, buildSymlink } from '../../unixfs/nodes.ts'
import type { BlockSink, NodeRef } from '../../unixfs/save-node.ts'

/** Files up to this size are imported several at a time; of larger ones, each keeps a disk busy by itself. */
const SMALL_FILE_BYTES = MiB
const SMALL_FILES_AT_ONCE = 8
/** Readers follow at most 256 nodes down, and every folder may add a few levels of HAMT. */
const MAX_FOLDER_DEPTH = 128

/** What an import has done so far, counted up as it goes. */
export interface ImportCounts {
  bytes: number
  files: number
  skippedHidden: number
}

/** Where the content of files goes; inner nodes go into the store always. */
interface LeafKeeper {
  /** @param path - of the file that is about to be read */
  openFile(path: string): Promise<LeafTaker>
}

export interface ImportTreeOptions extends TreeOptions {
  leaves: LeafKeeper
  counts: ImportCounts
  /** Called after each change of `counts`. */
  onCounts: () => void
}

/**
 * Imports the file, folder or symlink at `path`; its blocks are stored, not yet durable.
 *
 * @throws P2PError `io`, `disk-full`, `not-found`, `limit`; the signal's reason when aborted
 */
export async function importTree(path: string, store: BlockSink, options: ImportTreeOptions): Promise<NodeRef> {
  return await importEntry(path, await inspectPath(path), 0, store, options)
}

async function importEntry(
  path: string,
  entry: LocalEntry,
  depth: number,
  store: BlockSink,
  options: ImportTreeOptions,
): Promise<NodeRef> {
  options.signal?.throwIfAborted()
  if (entry.kind === 'file') {
    const leaves = await options.leaves.openFile(path)
    const file = await importContent(readFileContent(path, options), store, leaves, options)
    await leaves.close()
    return file
  }
  if (entry.kind === 'folder') return await importFolder(path, depth, store, options)
  if (entry.kind === 'symlink') return await buildSymlink(await readSymlink(path), store, options)
  throw refusedError(path, entry.reason)
}

/** Imports one stream as a file. @throws P2PError `io`, `disk-full`; whatever `content` throws */
export async function importContent(
  content: AsyncIterable<Uint8Array>,
  store: BlockSink,
  leaves: Pick<LeafTaker, 'putLeaf'>,
  options: AbortOptions & Pick<ImportTreeOptions, 'counts' | 'onCounts'>,
): Promise<NodeRef> {
  const { counts, onCounts } = options
  const counted = async function* () {
    for await (const piece of content) {
      yield piece
      counts.bytes += piece.length
      onCounts()
    }
  }
  const file = await importFile(counted(), store, (cid, bytes, offset) => leaves.putLeaf(cid, bytes, offset), options)
  counts.files++
  onCounts()
  return file
}

async function importFolder(
  path: string,
  depth: number,
  store: BlockSink,
  options: ImportTreeOptions,
): Promise<NodeRef> {
  if (depth > MAX_FOLDER_DEPTH) {
    throw new P2PError('limit', `Cannot add ${path}: folders are nested deeper than ${MAX_FOLDER_DEPTH}`)
  }
  const { entries, skippedHidden } = await listFolder(path, options)
  options.counts.skippedHidden += skippedHidden
  const isSmall = (entry: LocalEntry) =>
    entry.kind !== 'folder' && !(entry.kind === 'file' && entry.bytes > SMALL_FILE_BYTES)
  const importOne = async (entry: LocalEntry): Promise<DirectoryEntry> => {
    const { cid, tsize } = await importEntry(join(path, entry.name), entry, depth + 1, store, options)
    return { name: entry.name, cid, tsize }
  }
  const large = await mapBounded(
    entries.filter((entry) => !isSmall(entry)),
    1,
    importOne,
  )
  const small = await mapBounded(entries.filter(isSmall), SMALL_FILES_AT_ONCE, importOne)
  return await buildDirectory([...large, ...small], store, options)
}
