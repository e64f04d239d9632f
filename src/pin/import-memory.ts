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
import { parseCid } from '../dag/cid.ts'
import { isLeaf, linksOf } from '../dag/links.ts'
import { walkDag } from '../dag/walk.ts'
import type { Database, Space, SpaceOperation } from '../database/database.ts'
import type { Stamp } from '../files/tree.ts'
import type { HolderId } from './held-blocks.ts'
import type { Hold } from './hold.ts'
import type { Pins } from './pins.ts'

/** Times may be as coarse as in FAT, and clocks of a server a little off. */
const SETTLED_AFTER_NS = 3_000_000_000n
const MS_NS = 1_000_000n
/** Records that are removed together. */
const RECORDS_PER_BATCH = 1024

export interface KnownNode {
  cid: CID
  /** Bytes of all blocks below, as in dag-pb's links. */
  tsize: number
}

interface FolderRecord {
  holder: HolderId
  files: [name: string, stamp: string, cid: string, tsize: number][]
}

interface TreeRecord {
  holder: HolderId
  stamp: string
  cid: string
  tsize: number
}

/** The holder of a pin that was there before, in place of that of the import which made the same root again. */
interface AliasRecord {
  holder: HolderId
}

type Kind = 'folder' | 'tree' | 'alias'

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

  /** The root of an import with this hold is pinned: what was noted is worth something from now on. */
  async pinned(root: CID, hold: Hold): Promise<void> {
    const holder = (await this.#parts.pins.get(root))?.holder
    if (holder === undefined || holder === hold.id) return
    await this.#space.put(keyOf('alias', hold.id), encode<AliasRecord>({ holder }))
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
    let worthless: SpaceOperation[] = []
    const remove = async () => {
      await this.#space.batch(worthless)
      worthless = []
    }
    for await (const [key, value] of this.#space.iterate()) {
      const { holder } = decode<{ holder: HolderId }>(value)
      if (counts(holder) || counts((await aliasOf(this.#space, holder)) ?? holder)) continue
      worthless.push({ type: 'del', key })
      if (worthless.length >= RECORDS_PER_BATCH) await remove()
    }
    await remove()
  }
}

export interface ImportNotesOptions {
  /** Everything besides the files themselves that decides which CIDs they get. */
  recipe: string
  /** Of the import: gets every block of what is believed. */
  hold: Hold
  /** Believe nothing. */
  rehash: boolean
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
  readonly #isCurrent: () => boolean
  readonly #startedNs: bigint

  constructor(parts: ImportMemoryParts, space: Space, { recipe, hold, rehash, isCurrent }: ImportNotesInit) {
    this.#parts = parts
    this.#space = space
    this.#recipe = recipe
    this.#hold = hold
    this.#rehash = rehash
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
    await this.#write<TreeRecord>('tree', path, { holder: this.#hold.id, stamp: stamp.text, cid: `${cid}`, tsize })
  }

  /** What those files of one folder have become that are as they were, by name. */
  async folder(path: string, stamps: ReadonlyMap<string, Stamp>): Promise<Map<string, KnownNode>> {
    const known = new Map<string, KnownNode>()
    const record = await this.#read<FolderRecord>('folder', path)
    if (record === undefined) return known
    for (const [name, stamp, cid, tsize] of record.files) {
      if (stamps.get(name)?.text === stamp) known.set(name, { cid: parseCid(cid), tsize })
    }
    const cids = [...known.values()].map(({ cid }) => cid)
    return (await this.#take(cids, record.holder)) ? known : new Map()
  }

  /** @param files - those of one folder, with the stamps that they had before they were read */
  async noteFolder(path: string, files: Iterable<[name: string, stamp: Stamp, node: KnownNode]>): Promise<void> {
    const record: FolderRecord = { holder: this.#hold.id, files: [] }
    for (const [name, stamp, { cid, tsize }] of files) {
      if (this.#isSettled(stamp)) record.files.push([name, stamp.text, cid.toString(), tsize])
    }
    await this.#write('folder', path, record)
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
    await this.#hold.add(roots)
    for (const root of roots.filter((cid) => !isLeaf(cid))) {
      for await (const { links } of walkDag(root, readLinks)) await this.#hold.add(links)
    }
    // What another import under way has stored may not be synced yet: pins alone count.
    return isWhole && ((await pins.isPin(holder)) || (await pins.isPin((await aliasOf(this.#space, holder)) ?? holder)))
  }

  async #read<T>(kind: Kind, path: string): Promise<T | undefined> {
    if (this.#rehash) return undefined
    const value = await this.#space.get(keyOf(kind, this.#recipe, path))
    return value === undefined ? undefined : decode<T>(value)
  }

  async #write<T>(kind: Kind, path: string, record: T): Promise<void> {
    if (this.#isCurrent()) await this.#space.put(keyOf(kind, this.#recipe, path), encode(record))
  }
}

async function aliasOf(space: Space, holder: HolderId): Promise<HolderId | undefined> {
  const value = await space.get(keyOf('alias', holder))
  return value === undefined ? undefined : decode<AliasRecord>(value).holder
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
