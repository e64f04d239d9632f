/**
 * Reads the user's files and folders for `add`. Links are taken as links, names as the bytes they are; whatever cannot be
 * kept in a DAG (sockets, devices, names that are not UTF-8) is refused, never left out silently. Called by
 * `node/operations/import-tree.ts`.
 */

import { isUtf8 } from 'node:buffer'
import { constants, type Stats } from 'node:fs'
import { lstat, open, readdir, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { readFully } from '../blockstore/open-file.ts'
import type { AbortOptions } from '../common/abort.ts'
import { mapBounded } from '../common/concurrency.ts'
import { errnoOf, localIoError, P2PError } from '../common/errors.ts'
import { MiB } from '../common/units.ts'

/** How much of a file is read at once: the chunk size of imports, so that no chunk is copied together. */
const READ_BYTES = MiB
const STATS_AT_ONCE = 16

export type LocalEntry =
  | { kind: 'file'; name: string; bytes: number }
  | { kind: 'folder'; name: string }
  | { kind: 'symlink'; name: string }
  /** Something that cannot be imported. */
  | { kind: 'refused'; name: string; reason: string }

export interface FolderListing {
  /** In the order of their names' bytes. */
  entries: LocalEntry[]
  skippedHidden: number
}

export interface TreeOptions extends AbortOptions {
  /** Whether to take what begins with a dot. */
  hidden: boolean
}

/** What stands at a path; a link is not followed. @throws P2PError `not-found`, `io` */
export async function inspectPath(path: string): Promise<LocalEntry> {
  try {
    return describe(basename(path), await lstat(path))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new P2PError('not-found', `There is nothing at ${path}`, { cause: error })
    throw localIoError(error, 'read', path)
  }
}

/** One folder, not what is below its folders. @throws P2PError `io` */
export async function listFolder(path: string, { hidden, signal }: TreeOptions): Promise<FolderListing> {
  signal?.throwIfAborted()
  try {
    const all = (await readdir(path, { encoding: 'buffer' })).sort(Buffer.compare)
    const names = hidden ? all : all.filter((name) => name[0] !== '.'.charCodeAt(0))
    const entries = await mapBounded(names, STATS_AT_ONCE, (name) => inspectName(path, name))
    return { entries, skippedHidden: all.length - names.length }
  } catch (error) {
    throw localIoError(error, 'read', path)
  }
}

async function inspectName(folder: string, rawName: Buffer): Promise<LocalEntry> {
  const name = rawName.toString('utf8')
  if (!isUtf8(rawName)) return { kind: 'refused', name, reason: 'its name is not valid UTF-8' }
  const path = join(folder, name)
  try {
    return describe(name, await lstat(path))
  } catch (error) {
    throw localIoError(error, 'read', path)
  }
}

function describe(name: string, stats: Stats): LocalEntry {
  if (stats.isFile()) return { kind: 'file', name, bytes: stats.size }
  if (stats.isDirectory()) return { kind: 'folder', name }
  if (stats.isSymbolicLink()) return { kind: 'symlink', name }
  return { kind: 'refused', name, reason: `it is ${specialKind(stats)}, not a file, folder or symlink` }
}

function specialKind(stats: Stats): string {
  if (stats.isSocket()) return 'a socket'
  if (stats.isFIFO()) return 'a named pipe'
  return 'a device'
}

/** The error for an entry of kind `refused`. */
export function refusedError(path: string, reason: string): P2PError {
  return new P2PError('io', `Cannot add ${path}: ${reason}`, { hint: 'Move it elsewhere, or add what is around it.' })
}

/** Where a link points, as it is written. @throws P2PError `io` */
export async function readSymlink(path: string): Promise<string> {
  let target: Buffer
  try {
    target = await readlink(path, { encoding: 'buffer' })
  } catch (error) {
    throw localIoError(error, 'read', path)
  }
  if (!isUtf8(target)) throw refusedError(path, 'it points to a name that is not valid UTF-8')
  return target.toString('utf8')
}

export interface TreeSummary {
  /** Content of all files. */
  bytes: number
  /** What would make an import fail, as far as it can be seen without opening files. */
  problems: P2PError[]
}

/** Looks through everything below a path before it is imported. @throws P2PError `not-found`; the signal's reason */
export async function scanTree(path: string, options: TreeOptions): Promise<TreeSummary> {
  const summary: TreeSummary = { bytes: 0, problems: [] }
  const folders: string[] = []
  const note = (entry: LocalEntry, entryPath: string) => {
    if (entry.kind === 'file') summary.bytes += entry.bytes
    else if (entry.kind === 'folder') folders.push(entryPath)
    else if (entry.kind === 'refused') summary.problems.push(refusedError(entryPath, entry.reason))
  }
  note(await inspectPath(path), path)
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    try {
      for (const entry of (await listFolder(folder, options)).entries) note(entry, join(folder, entry.name))
    } catch (error) {
      if (!(error instanceof P2PError)) throw error
      summary.problems.push(error)
    }
  }
  return summary
}

/**
 * The content of a regular file, in pieces of 1 MiB. The file has to keep its size while it is read.
 *
 * @throws P2PError `io`; the signal's reason when aborted
 */
export async function* readFileContent(path: string, { signal }: AbortOptions = {}): AsyncGenerator<Uint8Array> {
  // Something else may stand here since the folder was listed: never follow a link, never wait for a pipe's writer.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const file = await reading(path, () => open(path, flags))
  try {
    const stats = await reading(path, () => file.stat())
    if (!stats.isFile()) throw changedError(path)
    let left = stats.size
    for (let atEnd = false; !atEnd; ) {
      signal?.throwIfAborted()
      // One byte more than there should be, so that growth is seen.
      const length = Math.min(READ_BYTES, left + 1)
      const piece = await reading(path, () => {
        return readFully(length, (buffer, done) => file.read(buffer, done, length - done))
      })
      left -= piece.length
      atEnd = piece.length < length
      if (left < 0 || (atEnd && left > 0)) throw changedError(path)
      if (piece.length > 0) yield piece
    }
  } finally {
    await file.close()
  }
}

async function reading<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw localIoError(error, 'read', path)
  }
}

/** The error for a file that was written to while it was read. */
export function changedError(path: string): P2PError {
  return new P2PError('io', `Cannot add ${path}: it changed while it was read`, {
    hint: 'Add it again once nothing writes to it.',
  })
}
