/**
 * What earlier imports made of files and trees of the user, so that those which have not changed need not be read again.
 * Believed as long as the pin stands that it was made for, since gc then leaves every block of it, and until a block is
 * found damaged: leaves are not looked for, since that takes longer than all the rest. Used by `node/operations/add.ts`.
 *
 * A file is known again by its *stamp*: size, both times and inode. One that changed shortly before it was looked at is
 * not remembered, since a later change in the same tick of the file system's clock would not show.
 * @see https://git-scm.com/docs/racy-git
 */

import { createHash } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../blockstore/blockstore.ts'
import type { Clock } from '../common/clock.ts'
import { MiB } from '../common/units.ts'
import { parseCid } from '../dag/cid.ts'
import { isLeaf, linksOf } from '../dag/links.ts'
import { walkDag } from '../dag/walk.ts'
import type { Database, Space, SpaceOperation } from '../database/database.ts'
import type { Storing } from '../files/storing.ts'
import type { Stamp } from '../files/tree.ts'
import type { HolderId } from './held-blocks.ts'
import type { Hold } from './hold.ts'
import type { Pins } from './pins.ts'

/** Times may be as coarse as in FAT, and clocks of a server a little off. */
const SETTLED_AFTER_NS = 3_000_000_000n
const MS_NS = 1_000_000n
/** Records that are written or removed together: so many, or with so many bytes. */
const RECORDS_PER_BATCH = 1024
const BYTES_PER_BATCH = MiB

export interface KnownNode {
  cid: CID
  /** Bytes of all blocks below, as in dag-pb's links. */
  tsize: number
}

/**
 * Some of a folder's files, which follow on each other in the order of their names, as do a folder's records. Where an
 * import that took in less has replaced the first of them, they do not; then more files are read again than need be.
 */
interface FolderRecord {
  holder: HolderId
  files: FolderRow[]
}

type FolderRow = [name: string, stamp: string, cid: string, tsize: number]

interface TreeRecord {
  holder: HolderId
  stamp: string
  cid: string
  tsize: number
}

type Kind = 'folder' | 'tree'

export interface ImportMemoryParts {
  database: Database
  pins: Pick<Pins, 'get' | 'holders' | 'isPin'>
  store: Pick<BlockStore, 'get'>
  clock: Clock
}

export class ImportMemory {
  readonly #parts: ImportMemoryParts
  readonly #space: Space
  /** How often all was forgotten. */
  #generation = 0

  constructor(parts: ImportMemoryParts) {
    this.#parts = parts
    this.#space = parts.database.space('imported')
  }

  /** What an import may believe, and a place for what it finds out. */
  open(options: ImportNotesOptions): ImportNotes {
    const generation = this.#generation
    return new ImportNotes(this.#parts, this.#space, { ...options, isCurrent: () => generation === this.#generation })
  }

  /** The root of an import with this hold is pinned: what was noted takes the place of what earlier imports made. */
  async pinned(root: CID, hold: Hold): Promise<void> {
    const holder = (await this.#parts.pins.get(root))?.holder
    if (holder === undefined) return
    const prefix = notedBy(hold)
    const generation = this.#generation
    const batch = new SpaceBatch(this.#space)
    for await (const [key, value] of this.#space.iterate({ prefix })) {
      if (generation !== this.#generation) return
      // A pin that was there before keeps its own holder.
      const isHolder = holder === hold.id
      const record = isHolder ? value : encode({ ...decode<FolderRecord | TreeRecord>(value), holder })
      await batch.add({ type: 'put', key: key.subarray(prefix.length), value: record })
    }
    if (generation === this.#generation) await batch.write()
  }

  /** An import with this hold has ended: what it noted counts as it was pinned, or is of no worth. */
  async ended(hold: Hold): Promise<void> {
    await this.#space.clear({ prefix: notedBy(hold) })
  }

  /** Forgets everything, as a block goes that a pin may need. Durable when it returns. @throws P2PError `io`, `disk-full` */
  async forget(): Promise<void> {
    this.#generation++
    await this.#space.clear()
    // What was written before a synced write is durable with it.
    await this.#space.del(keyOf('tree'), { sync: true })
  }

  /** Forgets what no pin stands for any more. @throws P2PError `io`, `disk-full` */
  async sweep(): Promise<void> {
    const counts = await this.#parts.pins.holders()
    const worthless = new SpaceBatch(this.#space)
    for await (const [key, value] of this.#space.iterate()) {
      if (!counts(decode<{ holder: HolderId }>(value).holder)) await worthless.add({ type: 'del', key })
    }
    await worthless.write()
  }
}

/** Changes of many records, some at a time. */
class SpaceBatch {
  readonly #space: Space
  #operations: SpaceOperation[] = []
  #bytes = 0

  constructor(space: Space) {
    this.#space = space
  }

  async add(operation: SpaceOperation): Promise<void> {
    this.#operations.push(operation)
    if (operation.type === 'put') this.#bytes += operation.value.byteLength
    if (this.#operations.length >= RECORDS_PER_BATCH || this.#bytes >= BYTES_PER_BATCH) await this.write()
  }

  /** What is left. */
  async write(): Promise<void> {
    this.#bytes = 0
    await this.#space.batch(this.#operations.splice(0))
  }
}

export interface ImportNotesOptions {
  /** Everything besides the files themselves that decides which CIDs they get. */
  recipe: string
  /** Of the import: gets every block of what is believed. */
  hold: Hold
  /** Believe nothing. */
  rehash: boolean
  /** Learns of every failure of the repo. */
  storing: Storing
}

interface ImportNotesInit extends ImportNotesOptions {
  /** False once everything was forgotten: what was found out before is not worth noting. */
  isCurrent: () => boolean
}

export class ImportNotes {
  readonly #parts: ImportMemoryParts
  readonly #space: Space
  readonly #recipe: string
  readonly #hold: Hold
  readonly #rehash: boolean
  readonly #storing: Storing
  readonly #isCurrent: () => boolean
  readonly #startedNs: bigint

  constructor(parts: ImportMemoryParts, space: Space, init: ImportNotesInit) {
    const { recipe, hold, rehash, storing, isCurrent } = init
    this.#parts = parts
    this.#space = space
    this.#recipe = recipe
    this.#hold = hold
    this.#rehash = rehash
    this.#storing = storing
    this.#isCurrent = isCurrent
    this.#startedNs = BigInt(parts.clock.wallMs()) * MS_NS
  }

  #isSettled({ changedNs }: Stamp): boolean {
    return changedNs + SETTLED_AFTER_NS < this.#startedNs
  }

  /** What the file or folder at a path has become, if it is as it was. @param stamp - of all that is in it */
  async tree(path: string, stamp: Stamp): Promise<KnownNode | undefined> {
    const record = await this.#read<TreeRecord>('tree', path)
    if (record === undefined || record.stamp !== stamp.text) return undefined
    const cid = parseCid(record.cid)
    return (await this.#take([cid], record.holder)) ? { cid, tsize: record.tsize } : undefined
  }

  /** @param stamp - how it was before it was read */
  async noteTree(path: string, stamp: Stamp, { cid, tsize }: KnownNode): Promise<void> {
    if (!this.#isSettled(stamp)) return
    await this.#write<TreeRecord>('tree', [path], { holder: this.#hold.id, stamp: stamp.text, cid: `${cid}`, tsize })
  }

  /** What is known of the files of one folder, and a place for what they become. */
  folder(path: string): FolderNotes {
    return new FolderNotes({
      read: (part) => this.#read<FolderRecord>('folder', path, String(part)),
      take: (roots, holder) => this.#take(roots, holder),
      write: async (part, files) => {
        const settled = files.filter(([, stamp]) => this.#isSettled(stamp))
        const rows = settled.map(([name, { text }, { cid, tsize }]): FolderRow => [name, text, `${cid}`, tsize])
        await this.#write<FolderRecord>('folder', [path, String(part)], { holder: this.#hold.id, files: rows })
      },
    })
  }

  /**
   * Holds all that is below the roots. True if they are whole, since the pin that they were made for stands: looked up
   * afterwards, so that nothing can have gone in between.
   */
  async #take(roots: readonly CID[], holder: HolderId): Promise<boolean> {
    const { pins, store } = this.#parts
    let isWhole = true
    const readLinks = async (cid: CID): Promise<CID[]> => {
      const block = await store.get(cid)
      if (block === undefined) isWhole = false
      return block === undefined ? [] : linksOf(cid, block)
    }
    return await this.#storing.run(async () => {
      await this.#hold.add(roots)
      for (const root of roots.filter((cid) => !isLeaf(cid))) {
        for await (const { links } of walkDag(root, readLinks)) await this.#hold.add(links)
      }
      // What another import under way has stored may not be synced yet: pins alone count.
      return isWhole && (await pins.isPin(holder))
    })
  }

  async #read<T>(kind: Kind, ...names: string[]): Promise<T | undefined> {
    if (this.#rehash) return undefined
    const value = await this.#storing.run(() => this.#space.get(keyOf(kind, this.#recipe, ...names)))
    return value === undefined ? undefined : decode<T>(value)
  }

  /** Apart from what earlier imports made, which is worth more until this one is pinned. */
  async #write<T>(kind: Kind, names: string[], record: T): Promise<void> {
    if (!this.#isCurrent()) return
    const key = Buffer.concat([notedBy(this.#hold), keyOf(kind, this.#recipe, ...names)])
    await this.#storing.run(() => this.#space.put(key, encode(record)))
  }
}

type NotedFile = [name: string, stamp: Stamp, node: KnownNode]

interface FolderNotesInit {
  read(part: number): Promise<FolderRecord | undefined>
  write(part: number, files: NotedFile[]): Promise<void>
  take(roots: readonly CID[], holder: HolderId): Promise<boolean>
}

/** What is known of one folder's files. They are asked for and noted in parts, in memory only as long as it takes. */
export class FolderNotes {
  readonly #init: FolderNotesInit
  /** What was read and reaches beyond the part that was asked for last. */
  #ahead: FolderRecord | undefined
  #nextRecord = 0
  #parts = 0

  constructor(init: FolderNotesInit) {
    this.#init = init
  }

  /** The next of the folder's files. @param stamps - by name, in the order of names */
  async next(stamps: ReadonlyMap<string, Stamp>): Promise<FolderPart> {
    const known = new Map<string, KnownNode>()
    const last = [...stamps.keys()].at(-1)
    while (last !== undefined) {
      this.#ahead ??= await this.#init.read(this.#nextRecord++)
      if (this.#ahead === undefined) break
      const { holder, files } = this.#ahead
      const nodes = files
        .filter(([name, stamp]) => stamps.get(name)?.text === stamp)
        .map(([name, , cid, tsize]) => ({ name, cid: parseCid(cid), tsize }))
      const cids = nodes.map(({ cid }) => cid)
      if (await this.#init.take(cids, holder)) for (const { name, ...node } of nodes) known.set(name, node)
      if ((files.at(-1)?.[0] ?? '') > last) break
      this.#ahead = undefined
    }
    const part = this.#parts++
    const note = (files: NotedFile[]) => this.#init.write(part, files)
    return { known, note }
  }
}

export interface FolderPart {
  /** What those files have become that are as they were, by name. */
  known: ReadonlyMap<string, KnownNode>
  /** Notes what the part's files have become, with the stamps that they had before they were read. */
  note(files: NotedFile[]): Promise<void>
}

/** What the keys begin with of what an import under way has noted. */
function notedBy({ id }: Hold): Uint8Array {
  return Buffer.from(`noted/${id}/`)
}

function keyOf(kind: Kind, ...names: string[]): Uint8Array {
  return Buffer.concat([Buffer.from(`${kind}/`), createHash('sha256').update(names.join('\0')).digest()])
}

function encode<T>(record: T): Uint8Array {
  return Buffer.from(JSON.stringify(record))
}

function decode<T>(value: Uint8Array): T {
  return JSON.parse(Buffer.from(value).toString()) as T
}
