/**
 * Reads the user's files and folders for `add`. Links are taken as links unless told otherwise, names as the bytes they
 * are; whatever cannot be kept in a DAG (sockets, devices, names that are not UTF-8) is refused, never left out silently. Called by
 * `node/operations/import-tree.ts`.
 */

import { isUtf8 } from 'node:buffer'
import { createHash, type Hash } from 'node:crypto'
import * as fs from 'node:fs'
import { type BigIntStats, constants, lstatSync, statSync } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { descriptors } from '../blockstore/open-file.ts'
import type { AbortOptions } from '../common/abort.ts'
import type { BufferPool } from '../common/buffer-pool.ts'
import { mapBounded } from '../common/concurrency.ts'
import { errnoOf, localIoError, messageOf, P2PError } from '../common/errors.ts'
import { MiB } from '../common/units.ts'

/** How much of a file is read at once: the chunk size of imports, so that no chunk is copied together. */
const READ_BYTES = MiB
const STATS_AT_ONCE = 16
/** Entries of a folder that are in memory with all that is said about them. */
const ENTRIES_AT_ONCE = 2048
const MODE_BITS = 0o7777
const SECOND_NS = 1_000_000_000n
/** At two thirds of what those of `fs/promises` cost, which is most of looking through a tree. */
const stat = promisify(fs.stat)
const lstat = promisify(fs.lstat)

/** What a file, folder or link says about itself. */
export interface EntryMetadata {
  /** Permission bits with setuid, setgid and sticky. */
  mode: number
  /** Since 1970; seconds are negative before, nanoseconds count from them on. */
  mtime: { seconds: number; nanoseconds: number }
}

/** How an entry was when it was looked at. */
export interface Stamp {
  /** Tells it from how it is after any change. */
  text: string
  /** The last change of it or of what is said about it, in nanoseconds since 1970. */
  changedNs: bigint
}

export type LocalEntry = { name: string; metadata?: EntryMetadata | undefined; stamp?: Stamp | undefined } & (
  | { kind: 'file'; bytes: number }
  /** Device and inode. */
  | { kind: 'folder'; identity: string }
  | { kind: 'symlink' }
  /** Something that cannot be imported. */
  | { kind: 'refused'; reason: string }
)

/** A folder in a tree that is read from the path that was named down. */
export interface FolderPlace {
  path: string
  /** From the named path, with `/` between folders; empty for the named one itself. */
  relativePath: string
  /** Folders around it. */
  depth: number
  /** Device and inode of itself and of the folders around it. */
  identities: readonly string[]
}

export interface FolderListing {
  skippedHidden: number
  /**
   * The entries in the order of their names, after those whose names are refused; some at a time, since a folder may have
   * a hundred thousand. At least one part, which may be empty.
   *
   * @throws P2PError `io`
   */
  parts: AsyncIterable<LocalEntry[]>
}

export interface LookOptions {
  /** Take what links point to, in place of the links. Default false. */
  followLinks?: boolean | undefined
  /** Read the metadata of each entry too. Default false. */
  withMetadata?: boolean | undefined
  /** Give files and links a stamp, and a tree a fingerprint. Default false. */
  withStamps?: boolean | undefined
}

/** A system call that failed in another thread. */
export interface Failed {
  errno: string | undefined
  message: string
}

export type Looked = LocalEntry | Failed

/** Looks at many entries in one go. */
export interface EntryReader {
  /** Whether it is worth asking for so many entries more. */
  takes(entries: number): boolean
  /** What stands in a folder under these names, in their order. Whoever calls sees to it that they are not too many. */
  look(folder: string, names: string[], options: LookOptions): Promise<Looked[]>
}

export interface TreeOptions extends AbortOptions, LookOptions {
  /** Whether to take what begins with a dot. */
  hidden: boolean
  /** What else to leave out, below the named path. */
  isIgnored?: ((relativePath: string, isFolder: boolean) => boolean) | undefined
  /** Default: one entry after the other is looked at. */
  reader?: EntryReader | undefined
}

/** What stands at a path; a link is not followed unless told so. @throws P2PError `not-found`, `io` */
export async function inspectPath(path: string, options: Omit<TreeOptions, 'hidden'> = {}): Promise<LocalEntry> {
  try {
    return await inspect(path, basename(path), options)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new P2PError('not-found', `There is nothing at ${path}`, { cause: error })
    throw localIoError(error, 'read', path)
  }
}

export type LocalFolder = Extract<LocalEntry, { kind: 'folder' }>

/** The folder that was named. */
export function topFolder(path: string, { identity }: Pick<LocalFolder, 'identity'>): FolderPlace {
  return { path, relativePath: '', depth: 0, identities: [identity] }
}

/** A folder that is listed in another one. */
export function folderIn(parent: FolderPlace, { name, identity }: Pick<LocalFolder, 'name' | 'identity'>): FolderPlace {
  const { path, depth, identities } = parent
  return {
    path: join(path, name),
    relativePath: below(parent, name),
    depth: depth + 1,
    identities: [...identities, identity],
  }
}

/** One folder, not what is below its folders. @throws P2PError `io` */
export async function listFolder(folder: FolderPlace, options: TreeOptions): Promise<FolderListing> {
  options.signal?.throwIfAborted()
  const { named, unnamed } = await readNames(folder.path)
  const isVisible = (name: string) => options.hidden || !name.startsWith('.')
  const visible = named.filter(isVisible)
  const refused = unnamed.filter(isVisible)
  return {
    skippedHidden: named.length + unnamed.length - visible.length - refused.length,
    parts: inspectAll(folder, visible, refused, options),
  }
}

interface Names {
  named: string[]
  /** What stands for those that are not UTF-8. */
  unnamed: string[]
}

async function readNames(path: string): Promise<Names> {
  try {
    const names = await readdir(path)
    // What stands in place of bytes that are not UTF-8 may also be in a name itself.
    const isClear = names.every((name) => !name.includes('\ufffd'))
    if (isClear) return { named: names.sort(), unnamed: [] }
    const bytes = await readdir(path, { encoding: 'buffer' })
    const textsOf = (some: Buffer[]) => some.map((name) => name.toString('utf8')).sort()
    return {
      named: textsOf(bytes.filter((name) => isUtf8(name))),
      unnamed: textsOf(bytes.filter((name) => !isUtf8(name))),
    }
  } catch (error) {
    throw localIoError(error, 'read', path)
  }
}

function below({ relativePath }: FolderPlace, name: string): string {
  return relativePath === '' ? name : `${relativePath}/${name}`
}

async function* inspectAll(
  folder: FolderPlace,
  names: string[],
  unnamed: string[],
  options: TreeOptions,
): AsyncGenerator<LocalEntry[]> {
  const { isIgnored } = options
  const refused = unnamed.map((name): LocalEntry => ({ kind: 'refused', name, reason: 'its name is not valid UTF-8' }))
  const taken = (entries: LocalEntry[]) =>
    isIgnored ? entries.filter(({ name, kind }) => !isIgnored(below(folder, name), kind === 'folder')) : entries
  yield taken(refused)
  for (let start = 0; start < names.length; start += ENTRIES_AT_ONCE) {
    options.signal?.throwIfAborted()
    yield taken(await inspectSome(folder, names.slice(start, start + ENTRIES_AT_ONCE), options))
  }
}

async function inspectSome(folder: FolderPlace, names: string[], options: TreeOptions): Promise<LocalEntry[]> {
  const { followLinks, withMetadata, withStamps, reader } = options
  const lookOptions: LookOptions = { followLinks, withMetadata, withStamps }
  try {
    const looked = reader?.takes(names.length)
      ? await reader.look(folder.path, names, lookOptions)
      : await mapBounded(names, STATS_AT_ONCE, (name) => look(join(folder.path, name), name, lookOptions))
    return names.map((name, index) => accepted(looked[index]!, name, folder, lookOptions))
  } catch (error) {
    throw localIoError(error, 'read', folder.path)
  }
}

async function look(path: string, name: string, options: LookOptions): Promise<Looked> {
  try {
    return await inspect(path, name, options)
  } catch (error) {
    return { errno: errnoOf(error), message: messageOf(error) }
  }
}

/** What came of looking at an entry of the folder. @throws P2PError `io` */
function accepted(looked: Looked, name: string, folder: FolderPlace, { followLinks }: LookOptions): LocalEntry {
  if ('message' in looked) {
    const leadsNowhere = followLinks && (looked.errno === 'ENOENT' || looked.errno === 'ELOOP')
    if (leadsNowhere) return { kind: 'refused', name, reason: 'it is a link that leads nowhere' }
    throw failedTo('read', join(folder.path, name), looked)
  }
  // One string for a name, not also the one that another thread has sent.
  looked.name = name
  if (looked.kind !== 'folder') return looked
  if (!folder.identities.includes(looked.identity)) return looked
  return { kind: 'refused', name, reason: 'it leads back to a folder that it lies in' }
}

/** The error for a call that failed in another thread. @param action - as in {@link localIoError} */
export function failedTo(action: string, path: string, { errno, message }: Failed): P2PError {
  return localIoError(Object.assign(new Error(message), { code: errno }), action, path)
}

async function inspect(path: string, name: string, options: LookOptions): Promise<LocalEntry> {
  const lookAt = options.followLinks ? stat : lstat
  return entryOf(name, await lookAt(path, { bigint: true }), options)
}

/** What stands at a path, while everybody waits. @throws what the system says */
export function lookNow(path: string, name: string, options: LookOptions): LocalEntry {
  const lookAt = options.followLinks ? statSync : lstatSync
  return entryOf(name, lookAt(path, { bigint: true }), options)
}

/** @param stats - in bigint, since a number does not hold all digits of a time in nanoseconds */
function entryOf(name: string, stats: BigIntStats, { withMetadata, withStamps }: LookOptions): LocalEntry {
  const entry: LocalEntry = describe(name, stats)
  if (withMetadata) entry.metadata = metadataOf(stats)
  // What a folder says about itself changes with every temporary file in it, and nothing of it is read.
  if (withStamps && entry.kind !== 'folder') entry.stamp = stampOf(stats)
  return entry
}

function stampOf({ size, mtimeNs, ctimeNs, dev, ino, mode }: BigIntStats): Stamp {
  const changedNs = mtimeNs > ctimeNs ? mtimeNs : ctimeNs
  return { text: [size, mtimeNs, ctimeNs, dev, ino, mode].join(' '), changedNs }
}

function describe(name: string, entry: BigIntStats): LocalEntry {
  if (entry.isFile()) return { kind: 'file', name, bytes: Number(entry.size) }
  if (entry.isDirectory()) return { kind: 'folder', name, identity: `${entry.dev}-${entry.ino}` }
  if (entry.isSymbolicLink()) return { kind: 'symlink', name }
  return { kind: 'refused', name, reason: `it is ${specialKind(entry)}, not a file, folder or symlink` }
}

function metadataOf({ mode, mtimeNs }: BigIntStats): EntryMetadata {
  const nanoseconds = ((mtimeNs % SECOND_NS) + SECOND_NS) % SECOND_NS
  return {
    mode: Number(mode) & MODE_BITS,
    mtime: { seconds: Number((mtimeNs - nanoseconds) / SECOND_NS), nanoseconds: Number(nanoseconds) },
  }
}

function specialKind(entry: BigIntStats): string {
  if (entry.isSocket()) return 'a socket'
  if (entry.isFIFO()) return 'a named pipe'
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
  files: number
  /** What would make an import fail, as far as it can be seen without opening files. */
  problems: P2PError[]
  skippedHidden: number
  /** With stamps: of all that is in it, as {@link TreeFingerprint} makes it. */
  stamp?: Stamp | undefined
}

/** Looks through everything below a path before it is imported. @throws P2PError `not-found`; the signal's reason */
export async function scanTree(path: string, options: TreeOptions): Promise<TreeSummary> {
  const summary: TreeSummary = { bytes: 0, files: 0, problems: [], skippedHidden: 0 }
  const fingerprint = new TreeFingerprint(options)
  const note = (entry: LocalEntry, entryPath: string) => {
    fingerprint.add(entryPath, entry)
    if (entry.kind === 'refused') summary.problems.push(refusedError(entryPath, entry.reason))
    else if (entry.kind === 'file') {
      summary.bytes += entry.bytes
      summary.files++
    }
  }
  const top = await inspectPath(path, options)
  note(top, path)
  const folders = top.kind === 'folder' ? [topFolder(path, top)] : []
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    try {
      const { parts, skippedHidden } = await listFolder(folder, options)
      summary.skippedHidden += skippedHidden
      const inside: FolderPlace[] = []
      for await (const entries of parts) {
        for (const entry of entries) {
          note(entry, join(folder.path, entry.name))
          if (entry.kind === 'folder') inside.push(folderIn(folder, entry))
        }
      }
      // The last is taken next, and the fingerprint wants the first.
      while (inside.length > 0) folders.push(inside.pop()!)
    } catch (error) {
      options.signal?.throwIfAborted()
      if (!(error instanceof P2PError)) throw error
      summary.problems.push(error)
    }
  }
  const stamp = fingerprint.stamp()
  return stamp === undefined ? summary : { ...summary, stamp }
}

/**
 * Made of everything that is found in a tree: a folder's entries in their order, then those of its first folder with all
 * below it, and so on.
 */
export class TreeFingerprint {
  readonly #hash: Hash | undefined
  #changedNs = 0n

  constructor({ withStamps = false }: Pick<TreeOptions, 'withStamps'>) {
    this.#hash = withStamps ? createHash('sha256') : undefined
  }

  add(path: string, { kind, metadata, stamp }: LocalEntry): void {
    this.#hash?.update(`${JSON.stringify([path, kind, metadata, stamp?.text])}\n`)
    if (stamp !== undefined && stamp.changedNs > this.#changedNs) this.#changedNs = stamp.changedNs
  }

  /** To be asked for once, in the end. @returns undefined where entries have no stamps */
  stamp(): Stamp | undefined {
    return this.#hash && { text: this.#hash.digest('hex'), changedNs: this.#changedNs }
  }
}

export interface ReadContentOptions extends AbortOptions, Pick<TreeOptions, 'followLinks'> {
  /** What it is read into; whoever takes the pieces gives them back. */
  buffers?: BufferPool | undefined
}

/**
 * The content of a regular file, in pieces of 1 MiB, the next of which is read while one is used. Nothing may write to the
 * file meanwhile.
 *
 * @throws P2PError `io`; the signal's reason when aborted
 */
export async function* readFileContent(
  path: string,
  { signal, followLinks = false, buffers }: ReadContentOptions = {},
): AsyncGenerator<Uint8Array> {
  const file = await reading(path, () => descriptors.open(path, readingFlags(followLinks)))
  let ahead: Promise<Uint8Array> | undefined
  try {
    const before = await reading(path, () => descriptors.stat(file))
    if (!before.isFile()) throw changedError(path)
    let left = before.size
    const readPiece = async (length: number): Promise<Uint8Array> => {
      const buffer = buffers?.take(length) ?? Buffer.allocUnsafe(length)
      const { bytesRead } = await reading(path, () => descriptors.read(file, buffer, 0, length, null))
      buffers?.lend(buffer, bytesRead)
      return buffer.subarray(0, bytesRead)
    }
    for (let atEnd = false; !atEnd; ) {
      signal?.throwIfAborted()
      // One byte more than there should be, so that growth is seen.
      const length = Math.min(READ_BYTES, left + 1)
      const piece = await (ahead ?? readPiece(length))
      left -= piece.length
      atEnd = piece.length === 0 || (left === 0 && piece.length < length)
      if (left < 0 || (atEnd && left > 0)) throw changedError(path)
      ahead = atEnd ? undefined : readPiece(Math.min(READ_BYTES, left + 1))
      // A failure is told when it is its turn, or not at all if the reader stops before.
      ahead?.catch(() => {})
      if (piece.length > 0) yield piece
    }
    const after = await reading(path, () => descriptors.stat(file))
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs) throw changedError(path)
  } finally {
    await ahead?.catch(() => {})
    await descriptors.close(file)
  }
}

/** Something else may stand here since the folder was listed: never follow a link, never wait for a pipe's writer. */
export function readingFlags(followLinks: boolean): number {
  return constants.O_RDONLY | constants.O_NONBLOCK | (followLinks ? 0 : constants.O_NOFOLLOW)
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
