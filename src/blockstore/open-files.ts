/**
 * Files kept open between reads: few, and not for long, so that a file which its user removes gives its space back.
 * Used by `references.ts` and `pack-store.ts`, which read many blocks of the same file one after the other.
 */

import type { FileHandle } from 'node:fs/promises'
import { SECOND_MS } from '../common/units.ts'
import { openFile } from './open-file.ts'

const MAX_OPEN = 32
const IDLE_MS = 30 * SECOND_MS

/** A path, and which of the files that have stood there. */
export interface FileOnDisk {
  path: string
  inode: bigint
}

interface OpenFile {
  key: string
  handle: Promise<FileHandle>
  readers: number
  usedSinceSweep: boolean
  /** Out of the list, to be closed by its last reader. */
  dropped: boolean
}

export class OpenFiles {
  /** Least recently used first. */
  readonly #files = new Map<string, OpenFile>()
  #sweeper: NodeJS.Timeout | undefined

  /** Calls `read` with the file open. @throws what opening it or `read` throws */
  async use<T>({ path, inode }: FileOnDisk, read: (handle: FileHandle) => Promise<T>): Promise<T> {
    const key = `${inode} ${path}`
    const file = this.#files.get(key) ?? this.#open(key, path)
    this.#files.delete(key)
    this.#files.set(key, file)
    file.readers++
    file.usedSinceSweep = true
    try {
      return await read(await file.handle)
    } catch (error) {
      // Opened anew the next time: the failure may be the handle's.
      this.#drop(file)
      throw error
    } finally {
      file.readers--
      this.#closeIfUnused(file)
    }
  }

  /** Closes every file that nobody is reading, and the others when their reader has ended. */
  close(): void {
    for (const file of [...this.#files.values()]) this.#drop(file)
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }

  #open(key: string, path: string): OpenFile {
    const oldest = this.#files.size >= MAX_OPEN ? this.#files.values().next().value : undefined
    if (oldest !== undefined) this.#drop(oldest)
    this.#sweeper ??= setInterval(() => this.#sweep(), IDLE_MS).unref()
    return { key, handle: openFile(path, 'r'), readers: 0, usedSinceSweep: true, dropped: false }
  }

  #sweep(): void {
    for (const file of [...this.#files.values()]) {
      if (!file.usedSinceSweep) this.#drop(file)
      file.usedSinceSweep = false
    }
    if (this.#files.size > 0) return
    clearInterval(this.#sweeper)
    this.#sweeper = undefined
  }

  #drop(file: OpenFile): void {
    if (file.dropped) return
    file.dropped = true
    this.#files.delete(file.key)
    this.#closeIfUnused(file)
  }

  #closeIfUnused(file: OpenFile): void {
    if (!file.dropped || file.readers > 0) return
    // Read only: nothing is lost if opening failed, or closing does.
    file.handle.then((handle) => handle.close()).catch(() => {})
  }
}
