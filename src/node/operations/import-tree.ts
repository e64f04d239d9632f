/**
 * Imports what stands at one local path, folders bottom-up: children first, then the node that names them. Several files
 * are imported at once. Of a folder the files come first, so that few of its entries are in memory while its subfolders
 * are walked; of folders that are not finished, memory holds the links, and which subfolders are left. Called by `add.ts`.
 */

import { join } from 'node:path'
import type { BufferPool } from '../../common/buffer-pool.ts'
import { P2PError } from '../../common/errors.ts'
import { WorkPool } from '../../common/work-pool.ts'
import type { LeafTaker } from '../../files/referenced-import.ts'
import {
  type EntryReader,
  type FolderPlace,
  folderIn,
  inspectPath,
  type LocalEntry,
  type LocalFolder,
  listFolder,
  readFileContent,
  readSymlink,
  refusedError,
  type Stamp,
  TreeFingerprint,
  type TreeOptions,
  topFolder,
} from '../../files/tree.ts'
import type { WholeFile } from '../../files/tree-notes.ts'
import { MAX_SMALL_BYTES, type SmallFile, type TreeReader } from '../../files/tree-reader.ts'
import type { FolderNotes, FolderPart, ImportNotes } from '../../pin/import-memory.ts'
import type { ImportSettings } from '../../unixfs/import-settings.ts'
import { importFile, importWhole, type PutLeaf } from '../../unixfs/importer.ts'
import {
  linkTo,
  type NodeLink,
  type NodeRef,
  type NodeWriter,
  type NodeWriterOptions,
} from '../../unixfs/node-writer.ts'
import { buildDirectory, buildSymlink } from '../../unixfs/nodes.ts'
import type { Metadata } from '../../unixfs/unixfs-data.ts'

/** What is imported at once weighs so much at most: many small files, or a few others. */
const WEIGHT_AT_ONCE = 64
const SMALL_WEIGHT = 1
const LARGE_WEIGHT = 8
/** Readers follow at most 256 nodes down, and every folder may add a few levels of HAMT. */
const MAX_FOLDER_DEPTH = 128

/** What an import has done so far, counted up as it goes. */
export interface ImportCounts {
  bytes: number
  files: number
  skippedHidden: number
}

/** Where the content of files goes; inner nodes go to the writer always. */
export interface LeafKeeper {
  /**
   * @param path - of the file that is about to be read
   * @param whole - how it was, if all of it has been read already
   */
  openFile(path: string, whole?: WholeFile): Promise<LeafTaker>
}

export interface ImportOptions extends TreeOptions, NodeWriterOptions {
  /** Reads small files. Default: as any other. */
  reader?: (EntryReader & Pick<TreeReader, 'read'>) | undefined
  /** What is known of files that have not changed; undefined to read all. */
  memory?: Pick<ImportNotes, 'folder'> | undefined
  settings: ImportSettings
  writer: NodeWriter
  /** What files are read into, again once their leaves are kept. */
  buffers: BufferPool
  /** Import folders that have nothing in them. */
  emptyFolders: boolean
  /** Import the named path even then. */
  emptyTop: boolean
  /** What a node says about the entry that it stands for. */
  metadataOf(entry: Pick<LocalEntry, 'metadata'>): Metadata
  counts: ImportCounts
  /** Called after each change of `counts`. */
  onCounts(): void
}

export interface ImportedTree {
  /** Undefined for an empty folder that is left out. */
  node: NodeRef | undefined
  /** With stamps: of all that was taken in, as it was before it was read. */
  stamp: Stamp | undefined
}

/**
 * Imports the file, folder or symlink at `path`; its blocks are stored, not yet durable.
 *
 * @throws P2PError `io`, `disk-full`, `not-found`, `limit`; the signal's reason when aborted
 */
export async function importTree(path: string, leaves: LeafKeeper, options: ImportOptions): Promise<ImportedTree> {
  return await new TreeImport(leaves, options).import(path)
}

/** Imports one stream as a file. @throws P2PError `limit`, `io`, `disk-full`; whatever `content` throws */
export async function importContent(
  content: AsyncIterable<Uint8Array>,
  leaves: Pick<LeafTaker, 'putLeaf'>,
  metadata: Metadata,
  { writer, settings, counts, onCounts, buffers }: ImportOptions,
): Promise<NodeRef> {
  const counted = async function* () {
    for await (const piece of content) {
      yield piece
      counts.bytes += piece.length
      onCounts()
    }
  }
  const keep: PutLeaf = async (leaf) => {
    await leaves.putLeaf(leaf)
    buffers.give(leaf.content)
  }
  const file = await importFile(counted(), writer, settings, keep, metadata)
  counts.files++
  onCounts()
  return file
}

async function importSmall(
  { content }: SmallFile,
  leaves: LeafTaker,
  metadata: Metadata,
  { writer, settings, counts, onCounts }: ImportOptions,
): Promise<NodeRef> {
  const file = await importWhole(content, writer, settings, (leaf) => leaves.putLeaf(leaf), metadata)
  counts.bytes += content.byteLength
  counts.files++
  onCounts()
  return file
}

/** Takes what an entry has become; undefined for one that is left out. */
type Done = (node: NodeRef | undefined) => Promise<void>

class TreeImport {
  readonly #leaves: LeafKeeper
  readonly #options: ImportOptions
  readonly #work = new WorkPool(WEIGHT_AT_ONCE)
  /** Of what is listed here, since a file may have come and gone since the tree was looked through. */
  readonly #fingerprint: TreeFingerprint

  constructor(leaves: LeafKeeper, options: ImportOptions) {
    this.#leaves = leaves
    this.#options = options
    this.#fingerprint = new TreeFingerprint(options)
  }

  async import(path: string): Promise<ImportedTree> {
    let root: NodeRef | undefined
    const done: Done = async (node) => {
      root = node
    }
    try {
      const entry = await inspectPath(path, this.#options)
      this.#fingerprint.add(path, entry)
      if (entry.kind === 'folder') await this.#visitFolder(topFolder(path, entry), entry, done)
      else await this.#visitEntry(path, entry, done)
    } catch (error) {
      await this.#work.settle()
      throw error
    }
    await this.#work.drain()
    return { node: root, stamp: this.#fingerprint.stamp() }
  }

  async #visitFolder(folder: FolderPlace, entry: LocalEntry, done: Done): Promise<void> {
    if (folder.depth > MAX_FOLDER_DEPTH) {
      throw new P2PError('limit', `Cannot add ${folder.path}: folders are nested deeper than ${MAX_FOLDER_DEPTH}`)
    }
    const { parts, skippedHidden } = await listFolder(folder, this.#options)
    const { counts, settings, writer, emptyFolders, emptyTop, metadataOf, memory } = this.#options
    counts.skippedHidden += skippedHidden
    const links: NodeLink[] = []
    const subfolders: LocalFolder[] = []
    const notes = memory?.folder(folder.path)
    let hasEntries = false
    const build = async () => {
      const isLeftOut = !hasEntries && !emptyFolders && !(emptyTop && folder.relativePath === '')
      await done(isLeftOut ? undefined : await buildDirectory(links, writer, settings, metadataOf(entry)))
    }
    const all = new Countdown(build)
    const take = async (name: string, node: NodeRef | undefined) => {
      if (node !== undefined) links.push(linkTo(name, node))
      await all.ended()
    }
    for await (const entries of parts) {
      for (const child of entries) this.#fingerprint.add(join(folder.path, child.name), child)
      hasEntries ||= entries.length > 0
      all.add(entries.length)
      subfolders.push(...entries.filter(isFolder))
      const others = entries.filter((child) => !isFolder(child))
      await this.#visitFiles(folder, others, await FileMemory.of(others, notes), take)
    }
    for (const child of subfolders) {
      await this.#visitFolder(folderIn(folder, child), child, (node) => take(child.name, node))
    }
    await this.#work.start(() => all.ended())
  }

  /** @param take - gets what each has become */
  async #visitFiles(
    folder: FolderPlace,
    entries: LocalEntry[],
    memory: FileMemory,
    take: (name: string, node: NodeRef | undefined) => Promise<void>,
  ): Promise<void> {
    const { counts, onCounts } = this.#options
    for (const entry of entries) {
      const done: Done = async (node) => {
        await memory.note(entry.name, node)
        await take(entry.name, node)
      }
      const known = memory.known.get(entry.name)
      if (entry.kind === 'file' && known !== undefined) {
        counts.bytes += entry.bytes
        counts.files++
        onCounts()
        await this.#work.start(() => done(known))
      } else await this.#visitEntry(join(folder.path, entry.name), entry, done)
    }
  }

  async #visitEntry(path: string, entry: LocalEntry, done: Done): Promise<void> {
    this.#options.signal?.throwIfAborted()
    if (entry.kind === 'refused') throw refusedError(path, entry.reason)
    const bytes = entry.kind === 'file' ? entry.bytes : 0
    const isSmall = bytes <= MAX_SMALL_BYTES
    const work = async () => {
      const { writer, metadataOf } = this.#options
      if (entry.kind === 'symlink') await done(await buildSymlink(await readSymlink(path), writer, metadataOf(entry)))
      else await done(await this.#importFile(path, metadataOf(entry), isSmall))
    }
    await this.#work.start(work, isSmall ? SMALL_WEIGHT : LARGE_WEIGHT)
  }

  async #importFile(path: string, metadata: Metadata, isSmall: boolean): Promise<NodeRef> {
    const whole = isSmall ? await this.#options.reader?.read(path) : undefined
    const leaves = await this.#leaves.openFile(path, whole)
    const file =
      whole === undefined
        ? await importContent(readFileContent(path, this.#options), leaves, metadata, this.#options)
        : await importSmall(whole, leaves, metadata, this.#options)
    await leaves.close()
    return file
  }
}

function isFolder(entry: LocalEntry): entry is LocalFolder {
  return entry.kind === 'folder'
}

/** Calls back once all has ended that was added, and whoever made it. */
class Countdown {
  readonly #onEnd: () => Promise<void>
  #left = 1

  constructor(onEnd: () => Promise<void>) {
    this.#onEnd = onEnd
  }

  add(count: number): void {
    this.#left += count
  }

  async ended(): Promise<void> {
    this.#left--
    if (this.#left === 0) await this.#onEnd()
  }
}

/** Some files of one folder, as they are remembered. */
class FileMemory {
  readonly #stamps: ReadonlyMap<string, Stamp>
  readonly #part: FolderPart | undefined
  readonly #nodes = new Map<string, NodeRef>()

  private constructor(stamps: ReadonlyMap<string, Stamp>, part: FolderPart | undefined) {
    this.#stamps = stamps
    this.#part = part
  }

  /** @param entries - in the order of their names, after those that were asked for before */
  static async of(entries: readonly LocalEntry[], notes: FolderNotes | undefined): Promise<FileMemory> {
    const stamps = new Map<string, Stamp>()
    for (const { kind, name, stamp } of entries) if (kind === 'file' && stamp) stamps.set(name, stamp)
    return new FileMemory(stamps, stamps.size > 0 ? await notes?.next(stamps) : undefined)
  }

  get known(): ReadonlyMap<string, NodeRef> {
    return this.#part?.known ?? NONE_KNOWN
  }

  /** What one of the entries has become; all are kept in mind with the last of them. */
  async note(name: string, node: NodeRef | undefined): Promise<void> {
    if (this.#part === undefined || node === undefined || !this.#stamps.has(name)) return
    this.#nodes.set(name, node)
    if (this.#nodes.size < this.#stamps.size) return
    await this.#part.note([...this.#stamps].map(([file, stamp]) => [file, stamp, this.#nodes.get(file)!]))
  }
}

const NONE_KNOWN: ReadonlyMap<string, NodeRef> = new Map()
