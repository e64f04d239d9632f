/**
 * Blocks that lie in the user's files: which file, where in it, how long. For a file that a download is building this
 * is the journal that a resumed download goes on from; for a finished one it is what is served from. Nothing here
 * owns a byte of those files: what was changed or removed there counts as missing here.
 *
 * Written by `node/operations/get.ts`, read through `local-blockstore.ts`.
 */

import type { BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import { errnoOf, localIoError } from '../common/errors.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import { matchesCid, whyRefused } from '../dag/block.ts'
import { type BlockKey, blockKey, keyOfMultihash, multihashOfKey } from '../dag/cid.ts'
import { leafBlock, leafBlockLength } from '../dag/leaf-form.ts'
import type { Database, Space, SpaceOperation, WriteOptions } from '../database/database.ts'
import { readAt } from './open-file.ts'
import { type FileOnDisk, OpenFiles } from './open-files.ts'
import {
  decodeFile,
  decodeId,
  decodeReference,
  encodeFile,
  encodeId,
  encodeReference,
  type FileRecord,
  type Reference,
  type ReferencedFile,
} from './reference-codec.ts'

export interface NewReference extends Reference {
  key: BlockKey
}

export interface NewFile {
  path: string
  root: CID
  bootId?: string | undefined
}

export interface FinishedFile {
  id: number
  /** Where the file is now; absolute. */
  path: string
  size: number
  mtimeNs: bigint
}

/** The record under this id holds the last id given out: ids are never used twice, since references may outlive files. */
const COUNTER_ID = 0
const MAX_CACHED_FILES = 1024

export class References {
  /** Multihash to {@link Reference}. */
  readonly #references: Space
  /** File id to file. */
  readonly #files: Space
  readonly #openFiles = new OpenFiles()
  /** undefined: known to be absent. */
  readonly #cache = new Map<number, FileRecord | undefined>()
  readonly #lock = new KeyedLock()

  constructor(database: Database) {
    this.#references = database.space('ref')
    this.#files = database.space('reffile')
  }

  /** Lets go of the files that are open. */
  close(): void {
    this.#openFiles.close()
  }

  /** Makes a record for a file that is about to be built. The id is never used again. @throws P2PError `io`, `disk-full` */
  async createFile({ path, root, bootId }: NewFile): Promise<number> {
    return await this.#lock.run('files', async () => {
      const last = await this.#files.get(encodeId(COUNTER_ID))
      const id = (last === undefined ? COUNTER_ID : decodeId(last)) + 1
      const record: FileRecord = { path, state: 'building', root: root.toString(), ...(bootId && { bootId }) }
      await this.#files.batch([
        { type: 'put', key: encodeId(COUNTER_ID), value: encodeId(id) },
        { type: 'put', key: encodeId(id), value: encodeFile(record) },
      ])
      this.#remember(id, record)
      return id
    })
  }

  /** Every file that was made for this root, finished or not. */
  async *filesOf(root: CID): AsyncGenerator<ReferencedFile> {
    const text = root.toString()
    for await (const [key, value] of this.#files.iterate()) {
      const id = decodeId(key)
      if (id === COUNTER_ID) continue
      const record = decodeFile(value)
      if (record.root === text) yield { id, ...record }
    }
  }

  /** Notes that, in this boot of the machine, the references to a file under construction are known to be true. */
  async confirm(id: number, bootId: string): Promise<void> {
    await this.#updateFiles([{ id, change: { bootId } }], { sync: false })
  }

  /**
   * The files are whole, synced, and where they will stay: from now on their size and time guard what is read.
   *
   * @throws P2PError `io`, `disk-full`
   */
  async finishFiles(files: FinishedFile[], options: WriteOptions = { sync: true }): Promise<void> {
    const changes = files.map(({ id, path, size, mtimeNs }) => {
      const change: Partial<FileRecord> = { path, size, mtimeNs: String(mtimeNs), state: 'finished', bootId: undefined }
      return { id, change }
    })
    await this.#updateFiles(changes, options)
  }

  /** Forgets a file. What refers to it counts as absent at once, and is removed when it is next come upon. */
  async forgetFile(id: number, options?: WriteOptions): Promise<void> {
    await this.#lock.run('files', async () => {
      await this.#files.del(encodeId(id), options)
      this.#remember(id, undefined)
    })
  }

  /**
   * Notes where blocks lie that have been verified and written; not synced. A block that can be had from another file
   * already stays with that file.
   *
   * @throws P2PError `io`, `disk-full`
   */
  async record(references: NewReference[]): Promise<void> {
    await this.#lock.run('references', async () => {
      const present = await this.#getMany(references.map(({ key }) => key))
      const usable = new Map<number, boolean>()
      const operations: SpaceOperation[] = []
      for (const [index, reference] of references.entries()) {
        const other = present[index]
        if (other !== undefined && other.fileId !== reference.fileId) {
          if (!usable.has(other.fileId)) usable.set(other.fileId, (await this.#usableFile(other.fileId)) !== undefined)
          if (usable.get(other.fileId)) continue
        }
        operations.push({ type: 'put', key: multihashOfKey(reference.key), value: encodeReference(reference) })
      }
      await this.#references.batch(operations)
    })
  }

  /** Removes those of these blocks that refer to this file, as when they turn out not to be there. */
  async drop(fileId: number, keys: BlockKey[]): Promise<void> {
    await this.#dropWhere(keys, (reference) => reference.fileId === fileId)
  }

  /** Removes the reference to a block, whatever file it is in. */
  async delete(cid: CID): Promise<void> {
    await this.#dropWhere([blockKey(cid)], () => true)
  }

  /**
   * Where the blocks lie, in the order of the keys; undefined for those without a reference to a file that is known.
   * Says nothing about what is in the file now: only {@link read} does.
   *
   * @throws P2PError `io`
   */
  async lookupMany(keys: BlockKey[]): Promise<(Reference | undefined)[]> {
    const known = await this.#getMany(keys)
    const forgotten = new Set<number>()
    for (const [index, reference] of known.entries()) {
      if (reference === undefined || (await this.#file(reference.fileId)) !== undefined) continue
      forgotten.add(reference.fileId)
      known[index] = undefined
    }
    if (forgotten.size > 0) await this.#dropWhere(keys, ({ fileId }) => forgotten.has(fileId))
    return known
  }

  /** The length of a block whose file is still what it was, without reading it. @throws P2PError `io` */
  async size(cid: CID): Promise<number | undefined> {
    if (whyRefused(cid) !== undefined) return undefined
    const [reference] = await this.lookupMany([blockKey(cid)])
    if (reference === undefined || (await this.#usableFile(reference.fileId)) === undefined) return undefined
    return leafBlockLength(reference.form, reference.length)
  }

  /** The verified bytes of a block, or undefined if no file has it any more. @throws P2PError `io` */
  async get(cid: CID, options?: AbortOptions): Promise<Uint8Array | undefined> {
    if (whyRefused(cid) !== undefined) return undefined
    const [reference] = await this.lookupMany([blockKey(cid)])
    return reference === undefined ? undefined : await this.read(reference, cid, options)
  }

  /**
   * The verified bytes at a reference; undefined if the file has gone, has changed, or holds something else there.
   *
   * @throws P2PError `io`: an unreadable file is not a missing one
   */
  async read(reference: Reference, cid: CID, options?: AbortOptions): Promise<Uint8Array | undefined> {
    const file = await this.#usableFile(reference.fileId)
    if (file === undefined) return undefined
    try {
      const { offset, length } = reference
      const content = await this.#openFiles.use(file, (handle) => readAt(handle, offset, length))
      const block = leafBlock(reference.form, content)
      return matchesCid(cid, block) ? block : undefined
    } catch (error) {
      options?.signal?.throwIfAborted()
      if (isAbsent(error)) return undefined
      throw localIoError(error, 'read', file.path)
    }
  }

  /** Every block that refers to a file which is known. */
  async *keys(): AsyncGenerator<BlockKey> {
    for await (const [key, value] of this.#references.iterate()) {
      if ((await this.#file(decodeReference(value).fileId)) !== undefined) yield keyOfMultihash(key)
    }
  }

  async #getMany(keys: BlockKey[]): Promise<(Reference | undefined)[]> {
    const values = await this.#references.getMany(keys.map(multihashOfKey))
    return values.map((value) => (value === undefined ? undefined : decodeReference(value)))
  }

  async #dropWhere(keys: BlockKey[], isDropped: (reference: Reference) => boolean): Promise<void> {
    await this.#lock.run('references', async () => {
      const present = await this.#getMany(keys)
      const dropped = keys.filter((_, index) => present[index] !== undefined && isDropped(present[index]))
      await this.#references.batch(dropped.map((key) => ({ type: 'del', key: multihashOfKey(key) })))
    })
  }

  async #updateFiles(files: { id: number; change: Partial<FileRecord> }[], options: WriteOptions): Promise<void> {
    await this.#lock.run('files', async () => {
      const updated: { id: number; record: FileRecord }[] = []
      for (const { id, change } of files) {
        const record = await this.#file(id)
        if (record !== undefined) updated.push({ id, record: { ...record, ...change } })
      }
      await this.#files.batch(
        updated.map(({ id, record }) => ({ type: 'put', key: encodeId(id), value: encodeFile(record) })),
        options,
      )
      for (const { id, record } of updated) this.#remember(id, record)
    })
  }

  async #file(id: number): Promise<FileRecord | undefined> {
    if (this.#cache.has(id)) return this.#cache.get(id)
    const value = await this.#files.get(encodeId(id))
    // A write that came in between knows better.
    if (this.#cache.has(id)) return this.#cache.get(id)
    const record = value === undefined ? undefined : decodeFile(value)
    this.#remember(id, record)
    return record
  }

  #remember(id: number, record: FileRecord | undefined): void {
    this.#cache.delete(id)
    this.#cache.set(id, record)
    if (this.#cache.size <= MAX_CACHED_FILES) return
    const oldest = this.#cache.keys().next().value
    if (oldest !== undefined) this.#cache.delete(oldest)
  }

  /** The file, if it is where it was and, once finished, of the size and age that it was finished with. */
  async #usableFile(id: number): Promise<FileOnDisk | undefined> {
    const record = await this.#file(id)
    if (record === undefined) return undefined
    let stats: BigIntStats
    try {
      stats = await stat(record.path, { bigint: true })
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw localIoError(error, 'look at', record.path)
    }
    if (!stats.isFile()) return undefined
    const isUnchanged = String(stats.size) === String(record.size) && String(stats.mtimeNs) === record.mtimeNs
    if (record.state === 'finished' && !isUnchanged) return undefined
    return { path: record.path, inode: stats.ino }
  }
}

function isAbsent(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOENT' || errno === 'ENOTDIR'
}
