/**
 * Files that are written in parts, each part at its offset: kept open between parts, few at a time, and synced in the
 * background so that a power cut costs little. Used by `output.ts`.
 */

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { errnoOf, localIoError } from '../common/errors.ts'
import { MiB } from '../common/units.ts'
import { type Metadata, restoreMetadata } from './metadata.ts'
import type { WholeFile } from './tree-notes.ts'

/** Content that may be lost by a power cut while a download runs. */
const SYNC_EVERY_BYTES = 64 * MiB
/** Towards the end of a larger file it is synced more often, down to so much, so that its last sync takes no time. */
const LAST_SYNC_BYTES = 4 * MiB
/** Smaller files are left to the system's own writing back. */
export const SYNC_FILES_FROM_BYTES = MiB
const MAX_OPEN_FILES = 128
const { O_RDONLY, O_RDWR, O_CREAT, O_NOFOLLOW } = constants

/** A file of {@link LargeFiles}. */
export interface LargeFile {
  readonly path: string
  /** Content that is to come; undefined for a file that is synced once, when it is whole, or whose size is not known. */
  missingBytes: number | undefined
  handle: FileHandle | undefined
  users: number
  unsyncedBytes: number
  /** Its content is whole; the handle goes with its last user. */
  closed: boolean
}

export class LargeFiles {
  readonly #files = new Set<LargeFile>()
  /** Open, and nobody uses them now. */
  readonly #idle = new Set<LargeFile>()
  #syncing: Promise<void> = Promise.resolve()
  #isSyncDue = false
  #unsyncedBytes = 0

  /**
   * Makes the file if it is not there; a link in its place is not followed.
   *
   * @param bytes - the size that it is given at once, if it is known
   * @throws P2PError `io`, `disk-full`
   */
  async open(path: string, bytes: number | undefined): Promise<LargeFile> {
    const missingBytes = bytes !== undefined && bytes >= SYNC_EVERY_BYTES ? bytes : undefined
    const file: LargeFile = { path, missingBytes, handle: undefined, users: 0, unsyncedBytes: 0, closed: false }
    this.#files.add(file)
    await this.#withHandle(file, async (handle) => {
      const stats = await handle.stat()
      if (bytes !== undefined && stats.size !== bytes) await handle.truncate(bytes)
    })
    return file
  }

  /** Returns once the content is written, not synced. @throws P2PError `io`, `disk-full` */
  async write(file: LargeFile, content: Uint8Array, offset: number): Promise<void> {
    await this.#withHandle(file, async (handle) => {
      for (let done = 0; done < content.byteLength; ) {
        const { bytesWritten } = await handle.write(content, done, content.byteLength - done, offset + done)
        done += bytesWritten
      }
    })
    file.unsyncedBytes += content.byteLength
    this.#unsyncedBytes += content.byteLength
    if (file.missingBytes !== undefined) file.missingBytes -= content.byteLength
    if (this.#unsyncedBytes >= SYNC_EVERY_BYTES || isEnding(file)) this.#syncInBackground()
  }

  /** Nothing more will be written to the file: syncs it, unless it is small. Returns how it is now. */
  async finish(file: LargeFile, metadata?: Metadata): Promise<WholeFile> {
    const whole = await this.#withHandle(file, async (handle) => {
      if (metadata !== undefined) await restoreMetadata(handle, metadata, 'file')
      const { size, mtimeNs } = await handle.stat({ bigint: true })
      // Also if this run has written nothing: an earlier one may have ended before its sync.
      // With its times: by them it is known again.
      if (size >= SYNC_FILES_FROM_BYTES) await handle.sync()
      file.unsyncedBytes = 0
      return { size: Number(size), mtimeNs }
    })
    this.#files.delete(file)
    file.closed = true
    // A sync in the background may still use it, and closes it when it is done.
    if (file.users === 0) await this.#closeHandle(file)
    return whole
  }

  /** Waits for the syncs in the background. @throws what they failed with */
  async synced(): Promise<void> {
    await this.#syncing
  }

  /** Lets go of every file. */
  async close(): Promise<void> {
    await this.#syncing.catch(() => {})
    for (const file of this.#files) await file.handle?.close()
    this.#files.clear()
    this.#idle.clear()
  }

  /** Opens the file if it is not open, and keeps the number of open files bounded. */
  async #withHandle<T>(file: LargeFile, use: (handle: FileHandle) => Promise<T>): Promise<T> {
    file.users++
    this.#idle.delete(file)
    try {
      if (file.handle === undefined) {
        const handle = await openForWriting(file.path)
        // Two users may have opened it side by side.
        if (file.handle === undefined) file.handle = handle
        else await handle.close()
      }
      return await use(file.handle)
    } catch (error) {
      throw localIoError(error, 'write', file.path)
    } finally {
      file.users--
      if (file.users === 0 && file.closed) await this.#closeHandle(file)
      else if (file.users === 0 && file.handle !== undefined) this.#idle.add(file)
      await this.#closeIdle()
    }
  }

  async #closeIdle(): Promise<void> {
    for (const file of this.#idle) {
      if (this.#idle.size <= MAX_OPEN_FILES) return
      await this.#closeHandle(file)
    }
  }

  async #closeHandle(file: LargeFile): Promise<void> {
    this.#idle.delete(file)
    const { handle } = file
    file.handle = undefined
    await handle?.close()
  }

  #syncInBackground(): void {
    if (this.#isSyncDue) return
    this.#isSyncDue = true
    this.#syncing = this.#syncing.then(async () => {
      this.#isSyncDue = false
      this.#unsyncedBytes = 0
      for (const file of [...this.#files]) {
        if (file.closed || file.unsyncedBytes < SYNC_FILES_FROM_BYTES) continue
        file.unsyncedBytes = 0
        await this.#withHandle(file, (handle) => handle.datasync())
      }
    })
    this.#syncing.catch(() => {})
  }
}

/** More of the file waits for a sync than is to come. */
function isEnding({ missingBytes, unsyncedBytes }: LargeFile): boolean {
  return missingBytes !== undefined && unsyncedBytes >= Math.max(LAST_SYNC_BYTES, missingBytes)
}

async function openForWriting(path: string): Promise<FileHandle> {
  try {
    return await open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o666)
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
    // What an earlier run has left may have got its mode already, which forbids writing.
    const handle = await open(path, O_RDONLY | O_NOFOLLOW).catch(() => {
      // There is none: it is the folder that forbids it.
      throw error
    })
    await handle.chmod(0o600).finally(() => handle.close())
    return await open(path, O_RDWR | O_NOFOLLOW)
  }
}
