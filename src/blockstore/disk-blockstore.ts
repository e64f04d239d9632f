/**
 * The blocks that this program keeps in files of its own: many to a pack. Those that earlier versions have made a file each
 * stay that. Built by `node/open.ts`, beneath `local-blockstore.ts`; gc, checking and repair know it as it is.
 */

import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import { mapBounded } from '../common/concurrency.ts'
import { assertAllowedCid, whyRefused } from '../dag/block.ts'
import { type BlockKey, cidOfKey, isIdentity } from '../dag/cid.ts'
import type { Database } from '../database/database.ts'
import type { BlockStore, ReadOptions } from './blockstore.ts'
import { FsBlockStore, type FsBlockStoreOptions, PACKS } from './fs-blockstore.ts'
import { MAX_PACKED_BYTES } from './pack-format.ts'
import { PackStore, type PackStoreOptions, type UnreadablePack } from './pack-store.ts'
import type { Usage } from './store-usage.ts'

const SIZES_AT_ONCE = 16

export interface DiskBlockStoreOptions extends FsBlockStoreOptions, Pick<PackStoreOptions, 'onUnreadable'> {
  /** Called before a block is written that is not here; throws if there must be no more. */
  reserve?: ((bytes: number, options: AbortOptions) => Promise<void>) | undefined
  /** A pack that has this size takes no more blocks. */
  packBytes?: number | undefined
}

export class DiskBlockStore implements BlockStore {
  readonly #files: FsBlockStore
  readonly #packs: PackStore
  readonly #reserve: DiskBlockStoreOptions['reserve']

  private constructor(files: FsBlockStore, packs: PackStore, { reserve }: DiskBlockStoreOptions) {
    this.#files = files
    this.#packs = packs
    this.#reserve = reserve
  }

  /**
   * Opens the store in `folder`, making it if it is not there. The caller holds the repo's lock, and has made the folder
   * durable if it made it.
   *
   * @param database - of the same repo: knows where packed blocks lie
   * @throws P2PError `io`, `disk-full`
   */
  static async open(folder: string, database: Database, options: DiskBlockStoreOptions = {}): Promise<DiskBlockStore> {
    const files = await FsBlockStore.open(folder, options)
    const packs = await PackStore.open(join(folder, PACKS), database, {
      ...options,
      setAside: (cid, bytes) => files.keepCorrupt(cid, bytes),
    })
    return new DiskBlockStore(files, packs, options)
  }

  async has(cid: CID, options?: AbortOptions): Promise<boolean> {
    return (await this.size(cid, options)) !== undefined
  }

  async size(cid: CID, { signal }: AbortOptions = {}): Promise<number | undefined> {
    signal?.throwIfAborted()
    if (whyRefused(cid) !== undefined) return undefined
    if (isIdentity(cid)) return cid.multihash.digest.byteLength
    return (await this.#packs.size(cid)) ?? (await this.#files.size(cid))
  }

  async get(cid: CID, options: ReadOptions = {}): Promise<Uint8Array | undefined> {
    options.signal?.throwIfAborted()
    if (whyRefused(cid) !== undefined) return undefined
    if (isIdentity(cid)) return cid.multihash.digest
    return (await this.#packs.get(cid, options)) ?? (await this.#files.get(cid, options))
  }

  async put(cid: CID, bytes: Uint8Array, { signal }: AbortOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    assertAllowedCid(cid)
    if (isIdentity(cid)) return
    // Before anybody has to wait for this block, since making room may take long.
    if (this.#reserve !== undefined && (await this.size(cid)) !== bytes.byteLength) {
      await this.#reserve(bytes.byteLength, { signal })
    }
    const isPacked = bytes.byteLength <= MAX_PACKED_BYTES && (await this.#files.size(cid)) === undefined
    await (isPacked ? this.#packs : this.#files).put(cid, bytes)
  }

  async delete(cid: CID, { signal }: AbortOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    if (whyRefused(cid) !== undefined || isIdentity(cid)) return
    await this.#packs.delete(cid)
    await this.#files.delete(cid)
  }

  async sync({ signal }: AbortOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    await Promise.all([this.#packs.sync(), this.#files.sync()])
  }

  async *keys({ signal }: AbortOptions = {}): AsyncGenerator<BlockKey> {
    for await (const { keys } of this.shards()) {
      signal?.throwIfAborted()
      yield* keys
    }
  }

  /** The blocks of one shard after the other, each shard as it was when it was come to. @throws P2PError `io` */
  async *shards(): AsyncGenerator<{ shard: string; keys: BlockKey[] }> {
    for (const shard of await this.shardNames()) yield { shard, keys: await this.keysIn(shard) }
  }

  /** @throws P2PError `io` */
  async shardNames(): Promise<string[]> {
    return [...new Set([...(await this.#packs.shardNames()), ...(await this.#files.shardNames())])]
  }

  /** The blocks of a shard; none where it is not there. @throws P2PError `io` */
  async keysIn(shard: string): Promise<BlockKey[]> {
    return [...new Set([...(await this.#packs.keysIn(shard)), ...(await this.#files.keysIn(shard))])]
  }

  /** What the blocks of a shard take. @throws P2PError `io` */
  async usageOf(shard: string): Promise<Usage> {
    const packed = await this.#packs.sizesIn(shard)
    const others = (await this.#files.keysIn(shard)).filter((key) => !packed.has(key))
    const inFiles = await mapBounded(others, SIZES_AT_ONCE, (key) => this.#files.size(cidOfKey(key)))
    const sizes = [...packed.values(), ...inFiles.filter((size) => size !== undefined)]
    return { blocks: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
  }

  /** A block as it is on the disk, not verified, and left where it is. @throws P2PError `io` */
  async readUnverified(cid: CID, options: AbortOptions = {}): Promise<Uint8Array | undefined> {
    if (isIdentity(cid)) return cid.multihash.digest
    return (await this.#packs.readUnverified(cid, options)) ?? (await this.#files.readUnverified(cid, options))
  }

  /** Files of writes that have failed and could not be cleaned up; those of an earlier run go when the store is opened. */
  async leftovers(): Promise<string[]> {
    return await this.#files.leftovers()
  }

  /** Packs whose end could not be read when the store was opened. */
  unreadablePacks(): readonly UnreadablePack[] {
    return this.#packs.unreadablePacks
  }

  /** Bytes of the blocks that were set aside since they had changed. @throws P2PError `io` */
  async corruptBytes(): Promise<number> {
    return await this.#files.corruptBytes()
  }

  /** Removes the blocks that were set aside. @throws P2PError `io` */
  async removeCorrupt(): Promise<void> {
    await this.#files.removeCorrupt()
  }

  /** Gives the space back to the disk that deleted blocks have in packs. @throws P2PError `io`, `disk-full` */
  async reclaim(options?: AbortOptions): Promise<void> {
    await this.#packs.reclaim(options)
  }

  /** Lets go of the files. The database has to be open still. */
  async close(): Promise<void> {
    await this.#packs.close()
  }
}
