/**
 * The result of a `get` on the user's disk: built under a name of its own beside the target, each leaf written once,
 * straight to its offset, and renamed when it is whole. What is verified and written is noted in a journal at once, so
 * that the same command goes on from there after any end of the process.
 *
 * Built and driven by `node/operations/get.ts`; the exporter writes into it.
 */

import { constants } from 'node:fs'
import { chmod, lstat, mkdir, open, rename, rm, statfs, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { syncFile, syncFolder } from '../blockstore/open-file.ts'
import type { References } from '../blockstore/references.ts'
import { mapBounded } from '../common/concurrency.ts'
import { errnoOf, localIoError, P2PError } from '../common/errors.ts'
import { formatBytes, MiB } from '../common/units.ts'
import type { BlockKey } from '../dag/cid.ts'
import { Journal, type JournalFile } from './journal.ts'
import { type LargeFile, LargeFiles, SYNC_FILES_FROM_BYTES } from './large-files.ts'
import { type Metadata, restoreLinkTime, restoreMetadata } from './metadata.ts'
import { SkippedEntries } from './skipped-entries.ts'
import { MAX_SMALL_FILE_BYTES, SmallFiles } from './small-files.ts'
import { allocatedBytes, refuseExisting, refuseFolder, refuseSpecial, replaceTarget, temporaryPath } from './target.ts'
import type { PlacedLeaf } from './tree-notes.ts'

const SYNCS_AT_ONCE = 16
/** Of names that are held in memory. */
const SYNCED_TOGETHER = 1024
/** What links take that wait for the files, which is over half a million of usual ones. */
const MAX_LINK_BYTES = 256 * MiB
/** Of each, besides its path and target. */
const LINK_OVERHEAD_BYTES = 256

export interface OutputOptions {
  /** Absolute path of the finished file or folder. */
  target: string
  root: CID
  /** Replace what is at the target. */
  force: boolean
  references: References
  /** Names this boot of the machine: what was noted in another one is read and hashed before it is believed. */
  bootId: string
  /** Have every leaf written, also those that an earlier run has left. Default false. */
  rewrite?: boolean
  /** Sync every file, however small, since something will be promised of them. Default false. */
  durable?: boolean
  /** Called with each block that can be read from the result from now on. */
  onNoted?: ((key: BlockKey, blockBytes: number) => void) | undefined
}

/** A file as the exporter knows it. */
interface OutputFile {
  id: number
  path: readonly string[]
  bytes: number | undefined
  metadata?: Metadata | undefined
}

interface Place {
  file: OutputFile
  offset: number
}

interface OpenFile {
  inJournal: JournalFile
  onDisk: LargeFile
}

/**
 * Looks at the target and takes up what an earlier run has left.
 *
 * @throws P2PError `target-exists`, `io`
 */
export async function openOutput(options: OutputOptions): Promise<Output> {
  const { target, root, force, references, bootId, rewrite = false, durable = false, onNoted } = options
  await (force ? refuseSpecial(target) : refuseExisting(target))
  const temporary = temporaryPath(target, root)
  const journal = await Journal.open({ references, root, temporary, target, bootId, onNoted })
  return new Output({ target, temporary, force, journal, rewrite, durable })
}

interface OutputParts {
  target: string
  temporary: string
  force: boolean
  journal: Journal
  rewrite: boolean
  durable: boolean
}

export class Output {
  readonly #target: string
  readonly #temporary: string
  readonly #force: boolean
  readonly #journal: Journal
  readonly #rewrite: boolean
  readonly #durable: boolean
  readonly #smallFiles = new SmallFiles()
  readonly #largeFiles = new LargeFiles()
  readonly #open = new Map<number, Promise<OpenFile>>()
  /** Whole files that an earlier run has left and may not have synced. */
  readonly #unsynced: (readonly string[])[] = []
  readonly #folders: { path: string; metadata: Metadata | undefined }[] = []
  readonly #links: { path: string; target: string; metadata: Metadata | undefined }[] = []
  #linkBytes = 0
  readonly skipped = new SkippedEntries()

  constructor({ target, temporary, force, journal, rewrite, durable }: OutputParts) {
    this.#target = target
    this.#temporary = temporary
    this.#force = force
    this.#journal = journal
    this.#rewrite = rewrite
    this.#durable = durable
  }

  /** True if an earlier run has left something to go on from. */
  get resumes(): boolean {
    return this.#journal.resumes
  }

  /** Where in the tree to begin, as a part of all leaves from 0 to 1: where an earlier run did, so that what it left is met first. */
  get beginning(): number {
    return this.#journal.beginning
  }

  /** Offset from which on content is not taken yet: there is none, the order does not matter. */
  windowEnd(): number {
    return Number.POSITIVE_INFINITY
  }

  /** @throws P2PError `disk-full` if the disk has not enough room for so much content */
  async expectBytes(totalBytes: number): Promise<void> {
    const folder = dirname(this.#temporary)
    const { bavail, bsize } = await statfs(folder).catch((error) => {
      throw localIoError(error, 'look at', folder)
    })
    const freeBytes = bavail * bsize
    if (totalBytes <= freeBytes) return
    const missingBytes = totalBytes - freeBytes - (await allocatedBytes(this.#temporary))
    if (missingBytes <= 0) return
    throw new P2PError('disk-full', `${formatBytes(missingBytes)} more must be free on the disk of ${folder}`, {
      hint: 'Free some space, or choose a path on another disk with -o.',
    })
  }

  /** @param metadata - put on it when all that is in it is in place */
  async makeFolder(path: readonly string[], metadata?: Metadata): Promise<void> {
    const folder = this.#pathOf(path)
    try {
      await mkdir(folder, { mode: 0o777 })
    } catch (error) {
      const stats = errnoOf(error) === 'EEXIST' ? await lstat(folder) : undefined
      if (stats?.isDirectory() !== true) throw localIoError(error, 'make folder', folder)
      await makeWritable(folder, stats.mode)
    }
    this.#folders.push({ path: folder, metadata })
  }

  /** Links are made when all files are in place, so that nothing is ever written through one. */
  async makeLink(path: readonly string[], target: string, metadata?: Metadata): Promise<void> {
    if (path.length === 0) {
      throw new P2PError('usage', `This is a link to "${target}", not a file or folder`, {
        hint: 'Name what it leads to.',
      })
    }
    if (!staysInside(path, target)) {
      this.refuse(path, `a link to "${target}", which is not inside the result`)
      return
    }
    const link = { path: this.#pathOf(path), target, metadata }
    this.#linkBytes += link.path.length + target.length + LINK_OVERHEAD_BYTES
    if (this.#linkBytes > MAX_LINK_BYTES) {
      throw new P2PError('limit', `The tree has more links than ${formatBytes(MAX_LINK_BYTES)} of memory hold`)
    }
    this.#links.push(link)
  }

  refuse(path: readonly string[], reason: string): void {
    const name = path.length === 0 ? basename(this.#target) : path.join('/')
    this.skipped.add(name, reason)
  }

  /** The size of a leaf that an earlier run has left in this place; believed without reading in the same boot. */
  async placedBytes(cid: CID, { file, offset }: Place): Promise<number | undefined> {
    if (!this.resumes || this.#rewrite) return undefined
    const open = await this.#open.get(file.id)
    const inJournal = open?.inJournal ?? (await this.#journal.fileFor(file.path, file.bytes))
    const bytes = await this.#journal.placedBytes(inJournal, cid, offset)
    if (open === undefined && bytes !== undefined && bytes >= SYNC_FILES_FROM_BYTES) this.#unsynced.push(file.path)
    return bytes
  }

  /** Returns once the whole file is written and noted. @param leaf - the CID of the block that is this content */
  async writeFile(file: OutputFile, content: Uint8Array, leaf: CID | undefined): Promise<void> {
    const size = content.byteLength
    const placed = leaf && { cid: leaf, offset: 0, content }
    if (size > MAX_SMALL_FILE_BYTES) {
      const { onDisk } = await this.#opened({ ...file, bytes: size })
      await this.#largeFiles.write(onDisk, content, 0)
      await this.#finishFile(file, placed)
      return
    }
    if (file.path.length === 0) await refuseFolder(this.#target)
    const inJournal = await this.#journal.fileFor(file.path, size)
    const mtimeNs = await this.#smallFiles.write({ path: this.#pathOf(file.path), content, metadata: file.metadata })
    await this.#journal.noteWhole(inJournal, { size, mtimeNs }, placed)
  }

  /** Makes ready for {@link write}. */
  async openFile(file: OutputFile): Promise<void> {
    await this.#opened(file)
  }

  /** Returns once the content is written and noted. */
  async write({ file, offset }: Place, content: Uint8Array, leaf: CID | undefined): Promise<void> {
    const { inJournal, onDisk } = await this.#opened(file)
    await this.#largeFiles.write(onDisk, content, offset)
    if (leaf !== undefined) await this.#journal.noteLeaf(inJournal, { cid: leaf, offset, content })
  }

  async closeFile(file: OutputFile): Promise<void> {
    await this.#finishFile(file, undefined)
  }

  /**
   * Makes links, syncs, and puts the result in its place.
   *
   * @throws P2PError `target-exists` if something has come up there meanwhile, `io`
   */
  async finish(): Promise<void> {
    try {
      await this.#largeFiles.synced()
      for (const { path, target, metadata } of this.#links) {
        await makeLinkNow(path, target)
        if (metadata !== undefined) await restoreLinkTime(path, metadata)
      }
      // A result that is one file is synced however small it is.
      if (this.#folders.length === 0) await syncFile(this.#temporary)
      if (this.#durable) await this.#syncEveryFile()
      else await mapBounded(this.#unsynced, SYNCS_AT_ONCE, (path) => syncFile(this.#pathOf(path)))
      await mapBounded(this.#folders, SYNCS_AT_ONCE, finishFolder)
      await this.#journal.markWhole()
      if (this.#force) {
        await refuseSpecial(this.#target)
        await replaceTarget(this.#temporary, this.#target)
      } else {
        await refuseExisting(this.#target)
        await rename(this.#temporary, this.#target)
      }
      await syncFolder(dirname(this.#target))
      await this.#journal.finish()
    } catch (error) {
      throw localIoError(error, 'finish', this.#target)
    }
  }

  /** Lets go of the files; what is in place stays for the next run. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#open.values())
    this.#open.clear()
    await this.#smallFiles.close()
    await this.#largeFiles.close()
    await this.#journal.close()
  }

  /** @param leaf - the block that all of the file's content is in, if there is one */
  async #finishFile(file: OutputFile, leaf: PlacedLeaf | undefined): Promise<void> {
    const { inJournal, onDisk } = await this.#opened(file)
    this.#open.delete(file.id)
    await this.#journal.noteWhole(inJournal, await this.#largeFiles.finish(onDisk, file.metadata), leaf)
  }

  async #syncEveryFile(): Promise<void> {
    let names: string[] = []
    const syncThem = async () => {
      await mapBounded(names, SYNCS_AT_ONCE, (name) => syncFile(join(this.#temporary, name)))
      names = []
    }
    for await (const { name } of this.#journal.files()) {
      names.push(name)
      if (names.length >= SYNCED_TOGETHER) await syncThem()
    }
    await syncThem()
  }

  #pathOf(path: readonly string[]): string {
    return join(this.#temporary, ...path)
  }

  #opened(file: OutputFile): Promise<OpenFile> {
    let open = this.#open.get(file.id)
    if (open === undefined) {
      open = this.#openNow(file)
      this.#open.set(file.id, open)
    }
    return open
  }

  async #openNow({ path, bytes }: OutputFile): Promise<OpenFile> {
    if (path.length === 0) await refuseFolder(this.#target)
    const inJournal = await this.#journal.fileFor(path, bytes)
    return { inJournal, onDisk: await this.#largeFiles.open(this.#pathOf(path), bytes) }
  }
}

/**
 * Whether a link's target, taken from where the link is, stays below the top of the result. `..` is taken only at the
 * front: behind a name it could step out of where another link of the same result leads.
 */
function staysInside(path: readonly string[], target: string): boolean {
  if (target.startsWith('/') || target === '' || target.includes('\0')) return false
  const segments = target.split('/').filter((segment) => segment !== '.' && segment !== '')
  const steps = segments.findIndex((segment) => segment !== '..')
  const up = steps === -1 ? segments.length : steps
  return up <= path.length - 1 && !segments.slice(up).includes('..')
}

async function makeLinkNow(path: string, target: string): Promise<void> {
  await rm(path, { force: true })
  await symlink(target, path)
}

/** Nothing more will be made in the folder. */
async function finishFolder({ path, metadata }: { path: string; metadata: Metadata | undefined }): Promise<void> {
  if (metadata === undefined) return await syncFolder(path)
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    await restoreMetadata(handle, metadata, 'folder')
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** An earlier run may have got so far as to give the folder its mode. */
async function makeWritable(folder: string, mode: number): Promise<void> {
  const owned = 0o700
  if ((mode & owned) !== owned) await chmod(folder, (mode & 0o777) | owned)
}
