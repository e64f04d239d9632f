/**
 * Blocks, many to a file, so that adding them is fast: puts that come together are one write, and the barrier syncs few
 * files. Packs only grow (`pack-writer.ts`); the index (`pack-index.ts`) says what in them is here.
 * Used through `disk-blockstore.ts`.
 *
 * A block is in the index's memory once it is written, and in the database once it survives a power cut. What a process
 * has written and not synced when it is killed is found again at the end of the newest packs.
 */

import { rm, stat } from 'node:fs/promises'
import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import { Batcher } from '../common/batcher.ts'
import { mapBounded } from '../common/concurrency.ts'
import { errnoOf, hasCode, localIoError, type P2PError } from '../common/errors.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import { KiB, MiB } from '../common/units.ts'
import { matchesCid } from '../dag/block.ts'
import { type BlockKey, blockKey, cidOfKey } from '../dag/cid.ts'
import type { Database } from '../database/database.ts'
import type { ReadOptions } from './blockstore.ts'
import { LostBlocks } from './lost-blocks.ts'
import { readAt } from './open-file.ts'
import { OpenFiles } from './open-files.ts'
import { type PackedBlock, type PackPlace, recordLength } from './pack-format.ts'
import { type IndexedEnd, PackIndex } from './pack-index.ts'
import { PackWriter } from './pack-writer.ts'
import { shardOf } from './sharding.ts'
import type { StoreChange } from './store-usage.ts'
import { SyncTurns } from './sync-turns.ts'

/** Written and not yet synced: beyond this, syncing starts in the background, so that the barrier finds little left. */
const BACKGROUND_BYTES = 16 * MiB
/** Beyond this, and what is being synced, the disk cannot keep up. */
const MAX_UNSYNCED_BYTES = 256 * MiB
/** Of which the database does not know: more of them take memory. */
const MAX_UNSETTLED_BLOCKS = 32 * KiB
/**
 * A pack of which less than this part is blocks that are here gives them up to another. Moving them costs up to four times
 * what it frees; what is not freed is at most a quarter of what is kept.
 */
const LIVE_PART = 0.8
const MOVED_AT_ONCE = 16
/** What may be there twice while packs are emptied, by default. */
const MOVED_TOGETHER_BYTES = 64 * MiB
/** Written in one go. */
const WRITE_BYTES = 4 * MiB

export interface PackStoreOptions {
  onChange?: ((change: StoreChange) => void) | undefined
  isAwaited?: ((key: BlockKey) => Promise<boolean>) | undefined
  /** Keeps the bytes of a block that no longer match, before it is removed. */
  setAside: (cid: CID, bytes: Uint8Array) => Promise<void>
  /** Told of each such block, once it has been removed. */
  onCorrupt?: ((cid: CID) => void) | undefined
  packBytes?: number | undefined
  /** Told of a pack whose end cannot be read, which has blocks that no pin has yet. */
  onUnreadable?: ((error: P2PError) => void) | undefined
}

/** What cannot be read of a pack, apart from the blocks that are known to lie in it. */
export interface UnreadablePack {
  path: string
  reason: string
}

export class PackStore {
  readonly #options: PackStoreOptions
  readonly #index: PackIndex
  readonly #writer: PackWriter
  readonly #openPacks = new OpenFiles()
  readonly #writers = new KeyedLock()
  readonly #lost: LostBlocks
  /** Since the store was opened. */
  readonly unreadablePacks: UnreadablePack[] = []
  readonly #appends = new Batcher((blocks: PackedBlock[]) => this.#append(blocks))
  /** Up to where packs are synced, or will be when the index is written down. */
  #end: IndexedEnd = { pack: 0, offset: 0 }
  #unsyncedBytes = 0
  readonly #turns = new SyncTurns()

  private constructor(folder: string, database: Database, options: PackStoreOptions) {
    const { isAwaited = async () => true, packBytes } = options
    this.#options = options
    this.#index = new PackIndex(database)
    this.#lost = new LostBlocks(isAwaited)
    this.#writer = new PackWriter(folder, {
      packBytes,
      onWritten: (key, place) => {
        this.#index.set(key, place)
        // At once: a sync that fails in a moment may lose it again.
        this.#lost.delete(key)
      },
      onLost: (pack, error) => {
        for (const [key, { length }] of this.#index.forgetUnsettled(pack)) {
          this.#lost.add(key, error)
          this.#changed(key, -1, -length)
        }
      },
      onUnreadable: (path, error) => {
        this.unreadablePacks.push({ path, reason: error.message })
        options.onUnreadable?.(error)
      },
    })
  }

  /** @param folder - of the packs; made with the first one @throws P2PError `io`, `disk-full` */
  static async open(folder: string, database: Database, options: PackStoreOptions): Promise<PackStore> {
    const store = new PackStore(folder, database, options)
    store.#end = await store.#index.load()
    await store.#writer.open(store.#end)
    if (store.#index.unsettled >= MAX_UNSETTLED_BLOCKS) await store.sync()
    return store
  }

  async size(cid: CID): Promise<number | undefined> {
    return (await this.#index.lookup(blockKey(cid)))?.length
  }

  /** As `BlockStore.get`. */
  async get(cid: CID, options?: ReadOptions): Promise<Uint8Array | undefined> {
    const bytes = await this.readUnverified(cid, options)
    if (bytes === undefined || matchesCid(cid, bytes)) return bytes
    return await this.#writers.run(blockKey(cid), () => this.#getOrSetAside(cid))
  }

  /** What lies where the block should be, which may be less; undefined if it is not here. @throws P2PError `io` */
  async readUnverified(cid: CID, options?: ReadOptions): Promise<Uint8Array | undefined> {
    const key = blockKey(cid)
    for (let gone: PackPlace | undefined; ; ) {
      const place = await this.#index.lookup(key)
      if (place === undefined) return undefined
      const bytes = await this.#readAt(place, options)
      if (bytes !== undefined) return bytes
      // Moved since it was looked up, if not gone for good.
      if (place.pack === gone?.pack) return new Uint8Array(0)
      gone = place
    }
  }

  /** As `BlockStore.put`. */
  async put(cid: CID, bytes: Uint8Array): Promise<void> {
    const key = blockKey(cid)
    await this.#writers.run(key, async () => {
      const present = await this.#index.lookup(key)
      if (present?.length === bytes.byteLength && (await this.#holds(cid, bytes))) return
      await this.#write({ key, bytes })
      this.#changed(key, present === undefined ? 1 : 0, bytes.byteLength - (present?.length ?? 0))
    })
    await this.#syncIfEnough()
  }

  async delete(cid: CID): Promise<void> {
    const key = blockKey(cid)
    await this.#writers.run(key, async () => {
      const place = await this.#index.lookup(key)
      if (place !== undefined) await this.#remove(key, place)
    })
  }

  /** As `BlockStore.sync`. */
  async sync(): Promise<void> {
    await this.#turns.run(async () => {
      await this.#syncWritten()
      await this.#lost.tell()
    })
  }

  /** Shards that have packed blocks. */
  async shardNames(): Promise<string[]> {
    return await this.#index.shards()
  }

  async keysIn(shard: string): Promise<BlockKey[]> {
    return [...(await this.#index.blocksIn(shard)).keys()]
  }

  /** Of the blocks of a shard, in bytes. */
  async sizesIn(shard: string): Promise<Map<BlockKey, number>> {
    return new Map(Array.from(await this.#index.blocksIn(shard), ([key, { length }]) => [key, length]))
  }

  /**
   * Gives back the space of blocks that are here no more: what is left in packs that are mostly dead moves to another, and
   * they are removed, a few at a time, so that it needs little room for what it frees. Others may put, get and delete
   * meanwhile.
   *
   * @throws P2PError `io`, `disk-full`; the signal's reason when aborted
   */
  async reclaim({ signal }: AbortOptions = {}): Promise<void> {
    for (const victims of await this.#mostlyDead()) {
      signal?.throwIfAborted()
      await this.#empty(victims, signal)
    }
  }

  /** Moves what is left in the packs, and removes them. */
  async #empty(victims: Set<number>, signal: AbortSignal | undefined): Promise<void> {
    for (const pack of victims) await this.#writer.retire(pack)
    for await (const blocks of this.#shards()) {
      signal?.throwIfAborted()
      const keys = [...blocks].flatMap(([key, { pack }]) => (victims.has(pack) ? key : []))
      await mapBounded(keys, MOVED_AT_ONCE, (key) => this.#move(key, victims))
    }
    await this.sync()
    // A power cut must not bring back records that name a pack which has gone.
    await this.#index.sync()
    // What could not be read stays where it is.
    for await (const blocks of this.#shards()) for (const { pack } of blocks.values()) victims.delete(pack)
    this.#openPacks.close()
    for (const pack of victims) await this.#removePack(pack)
  }

  /** Syncs what it can, which the next run is spared then, and lets go of the files. */
  async close(): Promise<void> {
    // Nobody waits for what is not synced.
    await this.sync().catch(() => {})
    this.#openPacks.close()
    await this.#writer.close()
  }

  async *#shards(): AsyncGenerator<Map<BlockKey, PackPlace>> {
    for (const shard of await this.#index.shards()) yield await this.#index.blocksIn(shard)
  }

  /** Packs to be emptied, the deadest first, those together that have no more than a pack's worth of live blocks. */
  async #mostlyDead(): Promise<Set<number>[]> {
    const live = new Map<number, number>()
    for await (const blocks of this.#shards()) {
      for (const [key, { pack, length }] of blocks) live.set(pack, (live.get(pack) ?? 0) + recordLength(key, length))
    }
    const dead: { pack: number; bytes: number }[] = []
    for (const pack of await this.#writer.packs()) {
      const bytes = live.get(pack) ?? 0
      if (bytes < LIVE_PART * (await this.#sizeOf(pack))) dead.push({ pack, bytes })
    }
    dead.sort((one, other) => one.bytes - other.bytes)
    const most = this.#options.packBytes ?? MOVED_TOGETHER_BYTES
    const rounds: Set<number>[] = []
    let movedBytes = 0
    for (const { pack, bytes } of dead) {
      movedBytes += bytes
      const isFree = bytes === 0
      // What costs nothing goes before anything is copied.
      if (rounds.length === 0 || (!isFree && (movedBytes === bytes || movedBytes > most))) {
        rounds.push(new Set())
        movedBytes = bytes
      }
      rounds.at(-1)!.add(pack)
    }
    return rounds
  }

  async #move(key: BlockKey, victims: ReadonlySet<number>): Promise<void> {
    const cid = cidOfKey(key)
    await this.#writers.run(key, async () => {
      const place = await this.#index.lookup(key)
      if (place === undefined || !victims.has(place.pack)) return
      try {
        const bytes = await this.#getOrSetAside(cid)
        if (bytes !== undefined) await this.#write({ key, bytes })
      } catch (error) {
        // It may be readable another time.
        if (!hasCode(error, 'io')) throw error
      }
    })
    await this.#syncIfEnough()
  }

  /** A power cut, or a disk, can have left something else. */
  async #holds(cid: CID, bytes: Uint8Array): Promise<boolean> {
    const present = await this.readUnverified(cid)
    return present !== undefined && Buffer.compare(present, bytes) === 0
  }

  /** Undefined if the pack is not there. */
  async #readAt(place: PackPlace, options?: ReadOptions): Promise<Uint8Array | undefined> {
    const path = this.#writer.pathOf(place.pack)
    try {
      return await this.#openPacks.use({ path, inode: 0n }, (handle) => readAt(handle, place, options))
    } catch (error) {
      options?.signal?.throwIfAborted()
      if (errnoOf(error) === 'ENOENT') return undefined
      throw localIoError(error, 'read the pack', path)
    }
  }

  /** Under the block's lock. The bytes, should it have been replaced by a good one in the meantime. */
  async #getOrSetAside(cid: CID): Promise<Uint8Array | undefined> {
    const key = blockKey(cid)
    const bytes = await this.readUnverified(cid)
    if (bytes === undefined || matchesCid(cid, bytes)) return bytes
    await this.#options.setAside(cid, bytes)
    const place = await this.#index.lookup(key)
    if (place !== undefined) await this.#remove(key, place)
    this.#options.onCorrupt?.(cid)
    return undefined
  }

  async #remove(key: BlockKey, { length }: PackPlace): Promise<void> {
    await this.#index.remove(key)
    this.#changed(key, -1, -length)
  }

  async #write(block: PackedBlock): Promise<void> {
    const failure = await this.#appends.add(block)
    if (failure !== undefined) throw failure.reason
    this.#unsyncedBytes += block.bytes.byteLength
  }

  /** What failed for each of them. */
  async #append(blocks: PackedBlock[]): Promise<({ reason: unknown } | undefined)[]> {
    const outcomes: ({ reason: unknown } | undefined)[] = []
    for (const portion of inPortions(blocks)) {
      const failure = await this.#writer.append(portion).then(
        () => undefined,
        (reason) => ({ reason }),
      )
      outcomes.push(...portion.map(() => failure))
    }
    return outcomes
  }

  /** Starts syncing once enough has gathered. Where the disk cannot keep up, the caller waits for it. */
  async #syncIfEnough(): Promise<void> {
    const isAbove = (bytes: number) => {
      return this.#unsyncedBytes >= bytes || this.#index.unsettled >= MAX_UNSETTLED_BLOCKS
    }
    const need = { isEnough: () => isAbove(BACKGROUND_BYTES), isTooMuch: () => isAbove(MAX_UNSYNCED_BYTES) }
    await this.#turns.runIfNeeded(need, () => this.#syncWritten())
  }

  async #syncWritten(): Promise<void> {
    this.#unsyncedBytes = 0
    this.#index.beginSettling()
    const end = await this.#writer.sync()
    this.#end = end ?? this.#end
    if (end !== undefined || this.#index.unsettled > 0) await this.#index.settle(this.#end)
  }

  async #sizeOf(pack: number): Promise<number> {
    const path = this.#writer.pathOf(pack)
    try {
      return (await stat(path)).size
    } catch (error) {
      throw localIoError(error, 'look at', path)
    }
  }

  async #removePack(pack: number): Promise<void> {
    const path = this.#writer.pathOf(pack)
    try {
      await rm(path, { force: true })
    } catch (error) {
      throw localIoError(error, 'remove', path)
    }
  }

  #changed(key: BlockKey, blocks: number, bytes: number): void {
    this.#options.onChange?.({ shard: shardOf(key), blocks, bytes })
  }
}

function* inPortions(blocks: readonly PackedBlock[]): Generator<PackedBlock[]> {
  let portion: PackedBlock[] = []
  let bytes = 0
  for (const block of blocks) {
    portion.push(block)
    bytes += block.bytes.byteLength
    if (bytes < WRITE_BYTES) continue
    yield portion
    portion = []
    bytes = 0
  }
  if (portion.length > 0) yield portion
}
