/**
 * The result of a `get` on the user's disk: built under a name of its own beside the target, each leaf written once,
 * straight to its offset, and renamed when it is whole. What is verified and written is noted as a reference at once,
 * so that the same command goes on from there after any end of the process.
 *
 * Built and driven by `node/operations/get.ts`; the exporter writes into it.
 */

import { constants, type Stats } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, readdir, rename, rm, stat, statfs, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { syncFolder } from '../blockstore/open-file.ts'
import type { FinishedFile, NewReference, References } from '../blockstore/references.ts'
import { mapBounded } from '../common/concurrency.ts'
import { errnoOf, localIoError, P2PError } from '../common/errors.ts'
import { formatBytes, MiB } from '../common/units.ts'
import { blockKey } from '../dag/cid.ts'
import { leafFormOf } from '../dag/leaf-form.ts'

/** Content that may be lost by a power cut while a download runs. */
const SYNC_EVERY_BYTES = 64 * MiB
/** Smaller files are left to the system's own writing back. */
const SYNC_FILES_FROM_BYTES = MiB
const MAX_OPEN_FILES = 128
const FILES_AT_ONCE = 16
const MAX_NAME_BYTES = 255
const CID_CHARACTERS = 12

export interface OutputOptions {
  /** Absolute path of the finished file or folder. */
  target: string
  root: CID
  /** Replace what is at the target. */
  force: boolean
  references: References
  /** Names this boot of the machine: what was noted in another one is read and hashed before it is believed. */
  bootId: string
}

/** A file as the exporter knows it. */
interface OutputFile {
  id: number
  path: readonly string[]
  bytes: number | undefined
}

interface Place {
  file: OutputFile
  offset: number
}

interface OpenFile {
  path: string
  fileId: number
  handle: FileHandle | undefined
  users: number
  unsyncedBytes: number
  /** Nothing vouches for what is in the file: it is hashed where it is believed to be. */
  mustVerify: boolean
  /** Its content is whole; the handle goes with its last user. */
  closed: boolean
}

/**
 * Looks at the target and takes up what an earlier run has left.
 *
 * @throws P2PError `target-exists`, `io`
 */
export async function openOutput(options: OutputOptions): Promise<Output> {
  const { target, root, force, references } = options
  if (!force) await refuseExisting(target)
  const temporary = join(dirname(target), temporaryName(basename(target), root))
  const known = new Map<string, { id: number; trusted: boolean }>()
  for await (const file of references.filesOf(root)) {
    if (file.state !== 'building' || !(file.path === temporary || file.path.startsWith(`${temporary}/`))) continue
    known.set(file.path, { id: file.id, trusted: file.bootId === options.bootId })
  }
  return new Output(options, temporary, known)
}

export class Output {
  readonly #options: OutputOptions
  readonly #temporary: string
  /** Files of an earlier run. */
  readonly #known: Map<string, { id: number; trusted: boolean }>
  readonly #files = new Map<number, Promise<OpenFile>>()
  readonly #idle = new Set<OpenFile>()
  readonly #finished: { id: number; path: string }[] = []
  readonly #folders: string[] = []
  readonly #links: { path: string; target: string }[] = []
  /** What is to be noted next, and what waits for that. */
  #batch: { references: NewReference[]; noted: Promise<void> } | undefined
  #noting: Promise<void> = Promise.resolve()
  #syncing: Promise<void> = Promise.resolve()
  #unsyncedBytes = 0
  readonly skipped: { name: string; reason: string }[] = []

  constructor(options: OutputOptions, temporary: string, known: Map<string, { id: number; trusted: boolean }>) {
    this.#options = options
    this.#temporary = temporary
    this.#known = known
  }

  /** True if an earlier run has left something to go on from. */
  get resumes(): boolean {
    return this.#known.size > 0
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
    const missingBytes = totalBytes - (await allocatedBytes(this.#temporary)) - bavail * bsize
    if (missingBytes <= 0) return
    throw new P2PError('disk-full', `${formatBytes(missingBytes)} more must be free on the disk of ${folder}`, {
      hint: 'Free some space, or choose a path on another disk with -o.',
    })
  }

  async makeFolder(path: readonly string[]): Promise<void> {
    const folder = this.#pathOf(path)
    try {
      await mkdir(folder, { mode: 0o777 })
    } catch (error) {
      const stats = errnoOf(error) === 'EEXIST' ? await lstat(folder) : undefined
      if (stats?.isDirectory() !== true) throw localIoError(error, 'make folder', folder)
    }
    this.#folders.push(folder)
  }

  /** Links are made when all files are in place, so that nothing is ever written through one. */
  async makeLink(path: readonly string[], target: string): Promise<void> {
    if (path.length === 0 || !staysInside(path, target)) {
      this.refuse(path, `a link to "${target}", which is not inside the result`)
      return
    }
    this.#links.push({ path: this.#pathOf(path), target })
  }

  refuse(path: readonly string[], reason: string): void {
    const name = path.length === 0 ? basename(this.#options.target) : path.join('/')
    this.skipped.push({ name, reason })
  }

  async openFile(file: OutputFile): Promise<void> {
    await this.#open(file)
  }

  /** The size of a leaf that an earlier run has left in this place; believed without reading in the same boot. */
  async placedBytes(cid: CID, { file, offset }: Place): Promise<number | undefined> {
    if (this.#known.size === 0) return undefined
    const open = await this.#open(file)
    const [reference] = await this.#options.references.lookupMany([blockKey(cid)])
    if (reference?.fileId !== open.fileId || reference.offset !== offset) return undefined
    if (!open.mustVerify) return reference.length
    if ((await this.#options.references.read(reference, cid)) !== undefined) return reference.length
    await this.#options.references.drop(open.fileId, [blockKey(cid)])
    return undefined
  }

  /** Returns once the content is written and noted. */
  async write({ file, offset }: Place, content: Uint8Array, leaf: CID | undefined): Promise<void> {
    const open = await this.#open(file)
    await this.#withHandle(open, async (handle) => {
      for (let done = 0; done < content.byteLength; ) {
        const { bytesWritten } = await handle.write(content, done, content.byteLength - done, offset + done)
        done += bytesWritten
      }
    })
    open.unsyncedBytes += content.byteLength
    this.#syncInBackground(content.byteLength)
    const form = leaf === undefined ? undefined : leafFormOf(leaf, content)
    if (leaf === undefined || form === undefined) return
    await this.#note({ key: blockKey(leaf), fileId: open.fileId, offset, length: content.byteLength, form })
  }

  async closeFile(file: OutputFile): Promise<void> {
    const open = await this.#open(file)
    this.#files.delete(file.id)
    this.#finished.push({ id: open.fileId, path: open.path })
    const mustSync = (file.bytes ?? 0) >= SYNC_FILES_FROM_BYTES && open.unsyncedBytes > 0
    open.unsyncedBytes = 0
    if (mustSync) await this.#withHandle(open, (handle) => handle.datasync())
    open.closed = true
    // A sync in the background may still use it, and closes it when it is done.
    if (open.users === 0) await this.#closeHandle(open)
  }

  /**
   * Makes links, syncs, and puts the result in its place.
   *
   * @throws P2PError `target-exists` if something has come up there meanwhile, `io`
   */
  async finish(): Promise<void> {
    const { target, force, references } = this.#options
    try {
      await this.#syncing
      for (const { path, target: linkTarget } of this.#links) await this.#makeLinkNow(path, linkTarget)
      for (const folder of this.#folders) await syncFolder(folder)
      if (force) {
        await this.#replaceTarget()
      } else {
        await refuseExisting(target)
        await rename(this.#temporary, target)
      }
      await syncFolder(dirname(target))
      const finished = await mapBounded(this.#finished, FILES_AT_ONCE, async ({ id, path }): Promise<FinishedFile> => {
        const place = join(target, path.slice(this.#temporary.length))
        const { size, mtimeNs } = await stat(place, { bigint: true })
        return { id, path: place, size: Number(size), mtimeNs }
      })
      await references.finishFiles(finished)
    } catch (error) {
      throw localIoError(error, 'finish', target)
    }
  }

  /** Lets go of the files; what is in place stays for the next run. */
  async close(): Promise<void> {
    await this.#noting
    await this.#syncing.catch(() => {})
    const open = await Promise.allSettled(this.#files.values())
    this.#files.clear()
    this.#idle.clear()
    for (const outcome of open) if (outcome.status === 'fulfilled') await outcome.value.handle?.close()
  }

  #pathOf(path: readonly string[]): string {
    return join(this.#temporary, ...path)
  }

  #open(file: OutputFile): Promise<OpenFile> {
    let open = this.#files.get(file.id)
    if (open === undefined) {
      open = this.#openNow(file)
      this.#files.set(file.id, open)
    }
    return open
  }

  async #openNow(file: OutputFile): Promise<OpenFile> {
    const path = this.#pathOf(file.path)
    const { references, root, bootId, target } = this.#options
    if (file.path.length === 0 && (await isFolder(target))) {
      throw new P2PError('target-exists', `${target} is a folder and the result is a file`, {
        hint: 'To save inside it, end the path with a slash; a folder is never replaced by a file.',
      })
    }
    const known = await this.#knownFile(path, file.bytes)
    const fileId = known?.id ?? (await references.createFile({ path, root, bootId }))
    const open: OpenFile = {
      path,
      fileId,
      handle: undefined,
      users: 0,
      unsyncedBytes: 0,
      mustVerify: known !== undefined && !known.trusted,
      closed: false,
    }
    await this.#withHandle(open, async (handle) => {
      const stats = await handle.stat()
      if (file.bytes !== undefined && stats.size !== file.bytes) await handle.truncate(file.bytes)
    })
    return open
  }

  /** What an earlier run noted of a file that still stands as that run left it; else the note is worth nothing. */
  async #knownFile(path: string, bytes: number | undefined): Promise<{ id: number; trusted: boolean } | undefined> {
    const known = this.#known.get(path)
    if (known === undefined) return undefined
    const stats = await lstat(path).catch(() => undefined)
    if (stats?.isFile() === true && (bytes === undefined || stats.size === bytes)) return known
    this.#known.delete(path)
    await this.#options.references.forgetFile(known.id)
    return undefined
  }

  /** Opens the file if it is not open, and keeps the number of open files bounded. */
  async #withHandle<T>(open: OpenFile, use: (handle: FileHandle) => Promise<T>): Promise<T> {
    open.users++
    this.#idle.delete(open)
    try {
      if (open.handle === undefined) {
        const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants
        const handle = await openFile(open.path, O_RDWR | O_CREAT | O_NOFOLLOW)
        // Two users may have opened it side by side.
        if (open.handle === undefined) open.handle = handle
        else await handle.close()
      }
      return await use(open.handle)
    } catch (error) {
      throw localIoError(error, 'write', open.path)
    } finally {
      open.users--
      if (open.users === 0 && open.closed) await this.#closeHandle(open)
      else if (open.users === 0 && open.handle !== undefined) this.#idle.add(open)
      await this.#closeIdle()
    }
  }

  async #closeIdle(): Promise<void> {
    for (const open of this.#idle) {
      if (this.#idle.size <= MAX_OPEN_FILES) return
      await this.#closeHandle(open)
    }
  }

  async #closeHandle(open: OpenFile): Promise<void> {
    this.#idle.delete(open)
    const { handle } = open
    open.handle = undefined
    await handle?.close()
  }

  /** What is written while one batch is being noted goes into the next. */
  #note(reference: NewReference): Promise<void> {
    if (this.#batch === undefined) {
      const references: NewReference[] = []
      const noted = this.#noting.then(async () => {
        this.#batch = undefined
        await this.#options.references.record(references)
      })
      this.#batch = { references, noted }
      this.#noting = noted.catch(() => {})
    }
    this.#batch.references.push(reference)
    return this.#batch.noted
  }

  #syncInBackground(bytes: number): void {
    this.#unsyncedBytes += bytes
    if (this.#unsyncedBytes < SYNC_EVERY_BYTES) return
    this.#unsyncedBytes = 0
    this.#syncing = this.#syncing.then(async () => {
      for (const opening of [...this.#files.values()]) {
        const open = await opening
        if (open.closed || open.unsyncedBytes < SYNC_FILES_FROM_BYTES) continue
        open.unsyncedBytes = 0
        await this.#withHandle(open, (handle) => handle.datasync())
      }
    })
    this.#syncing.catch(() => {})
  }

  async #makeLinkNow(path: string, linkTarget: string): Promise<void> {
    await rm(path, { force: true })
    await symlink(linkTarget, path)
  }

  /** The old result stands aside until the new one is in its place. */
  async #replaceTarget(): Promise<void> {
    const { target } = this.#options
    const aside = `${this.#temporary}.old`
    await rm(aside, { recursive: true, force: true })
    const existed = await rename(target, aside).then(
      () => true,
      (error) => {
        if (errnoOf(error) === 'ENOENT') return false
        throw error
      },
    )
    try {
      await rename(this.#temporary, target)
    } catch (error) {
      if (existed) await rename(aside, target)
      throw error
    }
    if (existed) await rm(aside, { recursive: true, force: true })
  }
}

/** Makes the folder that a result goes into, with those above it. @throws P2PError `io`, `disk-full` */
export async function ensureFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true })
  } catch (error) {
    throw localIoError(error, 'make folder', folder)
  }
}

async function openFile(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags, 0o666)
  } catch (error) {
    throw localIoError(error, 'write', path)
  }
}

async function refuseExisting(target: string): Promise<void> {
  let stats: Stats
  try {
    stats = await lstat(target)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw localIoError(error, 'look at', target)
  }
  throw new P2PError('target-exists', `${target} exists already`, {
    hint: stats.isDirectory()
      ? 'To save inside it, end the path with a slash; --force replaces it by another folder.'
      : 'Choose another path with -o, or replace it with --force.',
  })
}

/** `.<name>.<end of the CID>.p2p`, the name cut so that all of it fits. */
function temporaryName(name: string, root: CID): string {
  const tail = `.${root.toString().slice(-CID_CHARACTERS)}.p2p`
  const room = MAX_NAME_BYTES - 1 - tail.length - '.old'.length
  const kept = Buffer.from(name).subarray(0, room).toString('utf8').replace(/�+$/, '')
  return `.${kept}${tail}`
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

async function isFolder(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isDirectory() === true
}

async function allocatedBytes(path: string): Promise<number> {
  const stats = await lstat(path).catch(() => undefined)
  if (stats === undefined) return 0
  if (!stats.isDirectory()) return stats.blocks * 512
  let bytes = 0
  for (const name of await readdir(path)) bytes += await allocatedBytes(join(path, name))
  return bytes
}
