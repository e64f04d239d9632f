/**
 * Blocks that lie in the user's files: which file, where in it, how long. For a tree that a download is building this
 * is the journal that a resumed download goes on from; for a finished one it is what is served from. Nothing here
 * owns a byte of those files: what was changed or removed there counts as missing here.
 *
 * Written through `files/tree-notes.ts`, read through `local-blockstore.ts`.
 */

import type { BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { Batcher } from '../common/batcher.ts'
import { errnoOf, localIoError, P2PError } from '../common/errors.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import { RecentMap } from '../common/recent-map.ts'
import { matchesCid, whyRefused } from '../dag/block.ts'
import { type BlockKey, blockKey, keyOfMultihash, multihashOfKey } from '../dag/cid.ts'
import { leafBlock, leafBlockLength } from '../dag/leaf-form.ts'
import type { Database, Space, SpaceOperation } from '../database/database.ts'
import type { ReadOptions } from './blockstore.ts'
import { readAt } from './open-file.ts'
import { type FileOnDisk, OpenFiles } from './open-files.ts'
import {
  decodeFile,
  decodeFileId,
  decodeReferences,
  decodeTree,
  decodeTreeId,
  encodeFileId,
  encodeRecord,
  encodeReferences,
  encodeTreeId,
  type FileRecord,
  isUnchanged,
  MAX_TREE_ID,
  type Reference,
  type TreeRecord,
  treeIdOf,
} from './reference-codec.ts'

export interface NewReference extends Reference {
  key: BlockKey
}

export interface ReferencedTree extends TreeRecord {
  id: number
}

export interface ReferencedFile extends FileRecord {
  id: number
}

export interface PlacedReference {
  reference: Reference
  tree: TreeRecord
}

export interface NewTree {
  /** Absolute path of the file or folder that is about to be built, or read. */
  path: string
  /** What it holds, if that is known already. */
  root?: CID | undefined
  bootId?: string | undefined
  /** As in {@link TreeRecord}. */
  beginning?: number | undefined
}

export interface ReferencesOptions {
  /** Told once of each file of a finished tree that is not what it was, when a block of it is looked for. */
  onLost?: ((path: string) => void) | undefined
}

/** The record under this id holds the last id given out: ids are never used twice, since references may outlive trees. */
const COUNTER_ID = 0
const CACHED_FILES = 1024
/** Files that one block is known to lie in; of more, the oldest are forgotten, but for one in each tree. */
const MAX_PLACES = 8
/** Lost files that are told of, at most. */
const MAX_TOLD_LOST = 1000

export class References {
  /** Multihash to the references to that block, the newest first. */
  readonly #references: Space
  readonly #trees: Space
  readonly #files: Space
  readonly #openFiles = new OpenFiles()
  /** undefined: known to be absent. */
  readonly #knownTrees = new Map<number, TreeRecord | undefined>()
  readonly #knownFiles = new RecentMap<number, FileRecord | undefined>(CACHED_FILES)
  readonly #lock = new KeyedLock()
  readonly #onLost: ((path: string) => void) | undefined
  readonly #toldLost = new Set<string>()
  /** Trees that this process has made. */
  readonly #ownTrees = new Set<number>()
  readonly #lookups = new Batcher((keys: BlockKey[]) => this.#getMany(keys))

  constructor(database: Database, options: ReferencesOptions = {}) {
    this.#onLost = options.onLost
    this.#references = database.space('ref')
    this.#trees = database.space('reftree')
    this.#files = database.space('reffile')
    database.onDecided(() => {
      this.#knownTrees.clear()
      this.#knownFiles.clear()
    })
  }

  /** Lets go of the files that are open. */
  close(): void {
    this.#openFiles.close()
  }

  /** Makes a record for what is about to be built. The id is never used again. @throws P2PError `io`, `disk-full` */
  async createTree({ path, root, bootId, beginning }: NewTree): Promise<number> {
    return await this.#lock.run('trees', async () => {
      const last = await this.#trees.get(encodeTreeId(COUNTER_ID))
      const id = (last === undefined ? COUNTER_ID : decodeTreeId(last)) + 1
      if (id > MAX_TREE_ID)
        throw new P2PError('limit', `This repo has seen ${MAX_TREE_ID} downloads, and holds no more`)
      const record: TreeRecord = {
        path,
        state: 'building',
        ...(root && { root: root.toString() }),
        ...(bootId && { bootId }),
        ...(beginning !== undefined && { beginning }),
      }
      this.#ownTrees.add(id)
      await this.#trees.batch([
        { type: 'put', key: encodeTreeId(COUNTER_ID), value: encodeTreeId(id) },
        { type: 'put', key: encodeTreeId(id), value: encodeRecord(record) },
      ])
      this.#knownTrees.set(id, record)
      return id
    })
  }

  /** Every tree, finished or not, oldest first. */
  async *trees(): AsyncGenerator<ReferencedTree> {
    for await (const [key, value] of this.#trees.iterate()) {
      const id = decodeTreeId(key)
      if (id !== COUNTER_ID) yield { id, ...decodeTree(value) }
    }
  }

  /** The files of a tree, in the order of their ids. */
  async *filesOf(treeId: number): AsyncGenerator<ReferencedFile> {
    for await (const [key, value] of this.#files.iterate({ prefix: encodeTreeId(treeId) })) {
      yield { id: decodeFileId(key), ...decodeFile(value) }
    }
  }

  /** All of a tree under construction is in place; not synced. @throws P2PError `io`, `disk-full` */
  async markWhole(id: number): Promise<void> {
    await this.#lock.run('trees', async () => {
      const record = await this.#tree(id)
      if (record === undefined)
        throw new P2PError('internal', 'What is known of a tree under construction was forgotten')
      const whole = { ...record, isWhole: true }
      await this.#trees.put(encodeTreeId(id), encodeRecord(whole))
      this.#knownTrees.set(id, whole)
    })
  }

  /**
   * The tree is whole, synced, and where it will stay: from now on the size and time of each file guard what is read.
   *
   * @throws P2PError `io`, `disk-full`
   */
  async finishTree(id: number, { path, root }: { path: string; root: CID }): Promise<void> {
    await this.#lock.run('trees', async () => {
      const tree = await this.#tree(id)
      if (tree === undefined) throw new P2PError('internal', `What is known of ${path} was forgotten`)
      const { bootId } = tree
      const finished: TreeRecord = { path, state: 'finished', root: root.toString(), ...(bootId && { bootId }) }
      await this.#trees.put(encodeTreeId(id), encodeRecord(finished), { sync: true })
      this.#knownTrees.set(id, finished)
    })
  }

  /** Forgets a tree. What refers to its files counts as absent at once, and is removed when it is next come upon. */
  async forgetTree(id: number): Promise<void> {
    await this.#lock.run('trees', async () => {
      await this.#trees.del(encodeTreeId(id))
      this.#knownTrees.set(id, undefined)
    })
    await this.#files.clear({ prefix: encodeTreeId(id) })
  }

  /**
   * Notes files, and where blocks lie in them that have been verified and written; not synced. Within one file the newest
   * place of a block counts.
   *
   * @throws P2PError `io`, `disk-full`
   */
  async record(files: ReferencedFile[], references: NewReference[]): Promise<void> {
    await this.#lock.run('references', async () => {
      await this.#files.batch(
        files.map(({ id, ...record }) => ({ type: 'put', key: encodeFileId(id), value: encodeRecord(record) })),
      )
      for (const { id, ...record } of files) this.#knownFiles.set(id, record)
      const present = await this.#getMany(references.map(({ key }) => key))
      const changed = new Map<BlockKey, Reference[]>()
      for (const [index, { key, ...reference }] of references.entries()) {
        const others = changed.get(key) ?? (await this.#ofKnownTrees(present[index]!))
        changed.set(key, bestPlaces([reference, ...others.filter(({ fileId }) => fileId !== reference.fileId)]))
      }
      await this.#write(changed)
    })
  }

  /** Removes the references to a block in files of these trees. */
  async dropTrees(key: BlockKey, treeIds: ReadonlySet<number>): Promise<void> {
    await this.#keepOnly(key, ({ fileId }) => !treeIds.has(treeIdOf(fileId)))
  }

  /** Whether nobody can go on with a tree that was never finished: its files have gone, or the import of it has ended. */
  async isAbandoned({ id, path, root }: ReferencedTree): Promise<boolean> {
    if (this.#ownTrees.has(id)) return false
    if (root === undefined) return true
    try {
      await stat(path)
      return false
    } catch (error) {
      if (isAbsent(error)) return true
      throw localIoError(error, 'look at', path)
    }
  }

  /** Removes the reference to a block in this file, as when the block turns out not to be there. */
  async drop(fileId: number, key: BlockKey): Promise<void> {
    await this.#keepOnly(key, (reference) => reference.fileId !== fileId)
  }

  /** Removes every reference to a block. */
  async delete(cid: CID): Promise<void> {
    await this.#keepOnly(blockKey(cid), () => false)
  }

  /**
   * Where a block lies, the newest place first; empty without a reference to a file that is known. Says nothing about
   * what is in the files now: only {@link read} does.
   *
   * @throws P2PError `io`
   */
  async lookup(key: BlockKey): Promise<Reference[]> {
    const references = await this.#lookups.add(key)
    if (references.length === 0) return references
    const known = await this.#ofKnownTrees(references)
    if (known.length < references.length) {
      const trees = new Set(known.map(({ fileId }) => treeIdOf(fileId)))
      await this.#keepOnly(key, ({ fileId }) => trees.has(treeIdOf(fileId)))
    }
    return known
  }

  /** The length of a block whose file is still what it was, without reading it. @throws P2PError `io` */
  async size(cid: CID): Promise<number | undefined> {
    if (whyRefused(cid) !== undefined) return undefined
    return await this.#first(cid, async ({ fileId, form, length }) => {
      return (await this.#usableFile(fileId)) && leafBlockLength(form, length)
    })
  }

  /** The verified bytes of a block, or undefined if no file has it any more. @throws P2PError `io` */
  async get(cid: CID, options?: ReadOptions): Promise<Uint8Array | undefined> {
    if (whyRefused(cid) !== undefined) return undefined
    return await this.#first(cid, (reference) => this.read(reference, cid, options))
  }

  /**
   * The verified bytes at a reference; undefined if the file has gone, has changed, or holds something else there.
   *
   * @throws P2PError `io`: an unreadable file is not a missing one
   */
  async read(reference: Reference, cid: CID, options?: ReadOptions): Promise<Uint8Array | undefined> {
    const file = await this.#usableFile(reference.fileId)
    if (file === undefined) return undefined
    try {
      const content = await this.#openFiles.use(file, (handle) => readAt(handle, reference, options))
      const block = leafBlock(reference.form, content)
      return matchesCid(cid, block) ? block : undefined
    } catch (error) {
      options?.signal?.throwIfAborted()
      if (isAbsent(error)) return undefined
      throw localIoError(error, 'read', file.path)
    }
  }

  /** Every block that is referred to, with its places in trees that are known. */
  async *blocks(): AsyncGenerator<{ key: BlockKey; places: PlacedReference[] }> {
    for await (const [key, value] of this.#references.iterate()) {
      const places: PlacedReference[] = []
      for (const reference of decodeReferences(value)) {
        const tree = await this.#tree(treeIdOf(reference.fileId))
        if (tree !== undefined) places.push({ reference, tree })
      }
      yield { key: keyOfMultihash(key), places }
    }
  }

  /** Whether the file of a reference is where it was and as it was. @throws P2PError `io` */
  async isFileUnchanged({ fileId }: Reference): Promise<boolean> {
    return (await this.#usableFile(fileId)) !== undefined
  }

  /** Whether any file of a finished tree is where it was and as it was. One that cannot be looked at may be. */
  async hasUnchangedFile({ id, path }: ReferencedTree): Promise<boolean> {
    for await (const file of this.filesOf(id)) {
      const isThere = await stat(join(path, file.name), { bigint: true }).then(
        (stats) => isUnchanged(file, stats),
        (error) => !isAbsent(error),
      )
      if (isThere) return true
    }
    return false
  }

  /** Every block that refers to a file which is known. */
  async *keys(): AsyncGenerator<BlockKey> {
    for await (const [key, value] of this.#references.iterate()) {
      if ((await this.#ofKnownTrees(decodeReferences(value))).length > 0) yield keyOfMultihash(key)
    }
  }

  /** What `use` gives for the first place that gives anything. A place that fails counts only if no other gives. */
  async #first<T>(cid: CID, use: (reference: Reference) => Promise<T | undefined>): Promise<T | undefined> {
    let failure: { reason: unknown } | undefined
    for (const reference of await this.lookup(blockKey(cid))) {
      try {
        const found = await use(reference)
        if (found !== undefined) return found
      } catch (reason) {
        failure ??= { reason }
      }
    }
    if (failure !== undefined) throw failure.reason
    return undefined
  }

  async #getMany(keys: BlockKey[]): Promise<Reference[][]> {
    const values = await this.#references.getMany(keys.map(multihashOfKey))
    return values.map((value) => (value === undefined ? [] : decodeReferences(value)))
  }

  async #ofKnownTrees(references: Reference[]): Promise<Reference[]> {
    const known: Reference[] = []
    for (const reference of references) {
      if ((await this.#tree(treeIdOf(reference.fileId))) !== undefined) known.push(reference)
    }
    return known
  }

  async #keepOnly(key: BlockKey, isKept: (reference: Reference) => boolean): Promise<void> {
    await this.#lock.run('references', async () => {
      const [present] = await this.#getMany([key])
      const kept = present!.filter(isKept)
      if (kept.length < present!.length) await this.#write(new Map([[key, kept]]))
    })
  }

  async #write(changed: Map<BlockKey, Reference[]>): Promise<void> {
    const operations = [...changed].map(([key, references]): SpaceOperation => {
      if (references.length === 0) return { type: 'del', key: multihashOfKey(key) }
      return { type: 'put', key: multihashOfKey(key), value: encodeReferences(references) }
    })
    await this.#references.batch(operations)
  }

  async #tree(id: number): Promise<TreeRecord | undefined> {
    if (this.#knownTrees.has(id)) return this.#knownTrees.get(id)
    const value = await this.#trees.get(encodeTreeId(id))
    // A write that came in between knows better.
    if (this.#knownTrees.has(id)) return this.#knownTrees.get(id)
    const record = value === undefined ? undefined : decodeTree(value)
    this.#knownTrees.set(id, record)
    return record
  }

  async #file(id: number): Promise<FileRecord | undefined> {
    if (this.#knownFiles.has(id)) return this.#knownFiles.get(id)
    const value = await this.#files.get(encodeFileId(id))
    if (this.#knownFiles.has(id)) return this.#knownFiles.get(id)
    const record = value === undefined ? undefined : decodeFile(value)
    this.#knownFiles.set(id, record)
    return record
  }

  /** The file, if it is where it was and, once whole, of the size and age that it had then. */
  async #usableFile(id: number): Promise<FileOnDisk | undefined> {
    const tree = await this.#tree(treeIdOf(id))
    const record = tree === undefined ? undefined : await this.#file(id)
    if (tree === undefined || record === undefined) return undefined
    const path = join(tree.path, record.name)
    const inode = await this.#inodeIfUnchanged(path, tree, record)
    if (inode !== undefined) return { path, inode }
    if (tree.state === 'finished') this.#tellLost(path)
    return undefined
  }

  async #inodeIfUnchanged(path: string, tree: TreeRecord, record: FileRecord): Promise<bigint | undefined> {
    let stats: BigIntStats
    try {
      stats = await stat(path, { bigint: true })
    } catch (error) {
      if (isAbsent(error)) return undefined
      throw localIoError(error, 'look at', path)
    }
    if (!stats.isFile()) return undefined
    const isWhole = tree.state === 'finished' || record.mtimeNs !== undefined
    return isWhole && !isUnchanged(record, stats) ? undefined : stats.ino
  }

  #tellLost(path: string): void {
    if (this.#toldLost.has(path) || this.#toldLost.size >= MAX_TOLD_LOST) return
    this.#toldLost.add(path)
    this.#onLost?.(path)
  }
}

/** Without the oldest, where there are many; but what holds a tree may rely on nothing else, so each keeps its newest. */
function bestPlaces(newestFirst: Reference[]): Reference[] {
  const trees = new Set<number>()
  return newestFirst.filter(({ fileId }, index) => {
    const treeId = treeIdOf(fileId)
    const isNewest = !trees.has(treeId)
    trees.add(treeId)
    return isNewest || index < MAX_PLACES
  })
}

function isAbsent(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOENT' || errno === 'ENOTDIR'
}
