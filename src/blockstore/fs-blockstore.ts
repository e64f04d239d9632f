/**
 * Blocks as files, one each, in the layout of `blockstore-fs`: `<blocks>/<shard>/<multihash in base32>.data`. The
 * library lists and deletes. Writing and reading are ours, because it never syncs, gives two writers of a block the same
 * temporary file, loses the code of every failure, checks no hash, and reads at less than half the speed.
 *
 * Used through `disk-blockstore.ts`, for what repos of earlier versions have; the repo's lock makes this process the only
 * one.
 */

import { readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { FsBlockstore as LibraryStore } from 'blockstore-fs'
import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import { errnoOf, localIoError } from '../common/errors.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import { assertAllowedCid, matchesCid, whyRefused } from '../dag/block.ts'
import { type BlockKey, blockKey, isIdentity } from '../dag/cid.ts'
import { Barrier } from './barrier.ts'
import type { BlockStore, ReadOptions } from './blockstore.ts'
import { makeFolderIn, openFile, readFileIfThere } from './open-file.ts'
import { EXTENSION, sharding, shardOfMultihash } from './sharding.ts'
import type { StoreChange } from './store-usage.ts'

/** Folders within the store that are no shards: none of the names is one's, and nothing in them ends in `.data`. */
const TEMPORARY = 'tmp'
const CORRUPT = 'corrupt'
export const PACKS = 'packs'

export interface FsBlockStoreOptions {
  onChange?: ((change: StoreChange) => void) | undefined
  /**
   * Whether an operation under way relies on a block. Asked of one that could not be synced, since until it is put again
   * nobody's sync succeeds for so long. Default: always.
   */
  isAwaited?: ((key: BlockKey) => Promise<boolean>) | undefined
  /** Called before a block is set aside, while it still counts as here. */
  beforeSetAside?: (() => Promise<void>) | undefined
  /** Told of each block whose bytes no longer match, once it has been set aside. */
  onCorrupt?: ((cid: CID) => void) | undefined
}

export class FsBlockStore implements BlockStore {
  readonly #folder: string
  readonly #options: FsBlockStoreOptions
  readonly #writers = new KeyedLock()
  /** Folders that are there: for a block of any other, no file has to be looked for. */
  readonly #shards: Set<string>
  readonly #barrier: Barrier
  /** Names of files that are being written. */
  readonly #temporaries = new Set<string>()
  #temporaryCount = 0
  #libraryStore: LibraryStore | undefined

  private constructor(folder: string, shards: Set<string>, options: FsBlockStoreOptions) {
    this.#folder = folder
    this.#shards = shards
    this.#options = options
    const { isAwaited = async () => true } = options
    this.#barrier = new Barrier(folder, {
      setAside: (shard, file) => this.#setAside(shard, file),
      isAwaited: async (file) => await isAwaited(blockKey(sharding.decode(file))),
    })
  }

  /**
   * Opens the store in `folder`, making it if it is not there, and removes what an interrupted write left. The caller
   * holds the repo's lock, and has made the folder durable if it made it.
   *
   * @throws P2PError `io`, `disk-full`
   */
  static async open(folder: string, options: FsBlockStoreOptions = {}): Promise<FsBlockStore> {
    try {
      await rm(join(folder, TEMPORARY), { recursive: true, force: true })
      await makeFolderIn(folder)
      await makeFolderIn(join(folder, TEMPORARY))
      return new FsBlockStore(folder, new Set(await readdir(folder)), options)
    } catch (error) {
      throw localIoError(error, 'open the block store', folder)
    }
  }

  async has(cid: CID, options: AbortOptions = {}): Promise<boolean> {
    return (await this.size(cid, options)) !== undefined
  }

  async size(cid: CID, { signal }: AbortOptions = {}): Promise<number | undefined> {
    signal?.throwIfAborted()
    if (whyRefused(cid) !== undefined) return undefined
    if (isIdentity(cid)) return cid.multihash.digest.byteLength
    try {
      return await this.#sizeOf(cid)
    } catch (error) {
      throw localIoError(error, 'look for the block', this.#pathOf(cid))
    }
  }

  async get(cid: CID, options: ReadOptions = {}): Promise<Uint8Array | undefined> {
    options.signal?.throwIfAborted()
    if (whyRefused(cid) !== undefined) return undefined
    if (isIdentity(cid)) return cid.multihash.digest
    const bytes = await this.#read(cid, options)
    if (bytes === undefined || matchesCid(cid, bytes)) return bytes
    return await this.#setAsideIfCorrupt(cid)
  }

  async put(cid: CID, bytes: Uint8Array, { signal }: AbortOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    assertAllowedCid(cid)
    if (isIdentity(cid)) return
    const path = this.#pathOf(cid)
    const { dir, file } = sharding.encode(cid)
    await this.#writers.run(blockKey(cid), async () => {
      try {
        const present = await this.#sizeOf(cid)
        if (present === bytes.byteLength && (await this.#holds(cid, bytes))) return
        await this.#write(cid, bytes)
        this.#changed(dir, present === undefined ? 1 : 0, bytes.byteLength - (present ?? 0))
      } catch (error) {
        throw localIoError(error, 'write the block', path)
      }
    })
    await this.#barrier.add(dir, file, bytes.byteLength)
  }

  async delete(cid: CID, { signal }: AbortOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    if (whyRefused(cid) !== undefined || isIdentity(cid)) return
    await this.#writers.run(blockKey(cid), async () => {
      try {
        const present = await this.#sizeOf(cid)
        if (present === undefined) return
        await (await this.#library()).delete(cid)
        this.#changed(sharding.encode(cid).dir, -1, -present)
      } catch (error) {
        throw localIoError(error, 'delete the block', this.#pathOf(cid))
      }
    })
  }

  async sync({ signal }: AbortOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    await this.#barrier.pass()
  }

  async *keys({ signal }: AbortOptions = {}): AsyncGenerator<BlockKey> {
    try {
      const library = await this.#library()
      for await (const { cid } of library.getAll(signal === undefined ? {} : { signal })) yield blockKey(cid)
    } catch (error) {
      signal?.throwIfAborted()
      throw localIoError(error, 'list the block store', this.#folder)
    }
  }

  /** @throws P2PError `io` */
  async shardNames(): Promise<string[]> {
    return (await this.#list('')).filter((name) => ![TEMPORARY, CORRUPT, PACKS].includes(name))
  }

  /** The blocks of a shard; none where it is not there. @throws P2PError `io` */
  async keysIn(shard: string): Promise<BlockKey[]> {
    return (await this.#list(shard)).flatMap((name) => keyOfName(name) ?? [])
  }

  /** A block as it is on the disk, not verified, and left where it is. @throws P2PError `io` */
  async readUnverified(cid: CID, options: AbortOptions = {}): Promise<Uint8Array | undefined> {
    return isIdentity(cid) ? cid.multihash.digest : await this.#read(cid, options)
  }

  /** Files of writes that have failed and could not be cleaned up; those of an earlier run go when the store is opened. */
  async leftovers(): Promise<string[]> {
    const names = await this.#list(TEMPORARY)
    return names.filter((name) => !this.#temporaries.has(name)).map((name) => join(this.#folder, TEMPORARY, name))
  }

  /** Sets aside a block that lay elsewhere, and is about to be removed there. @throws P2PError `io`, `disk-full` */
  async keepCorrupt(cid: CID, bytes: Uint8Array): Promise<void> {
    const path = join(this.#folder, CORRUPT, basename(sharding.encode(cid).file, EXTENSION))
    await this.#options.beforeSetAside?.()
    try {
      await makeFolderIn(join(this.#folder, CORRUPT))
      await writeFile(path, bytes, { mode: 0o600 })
    } catch (error) {
      throw localIoError(error, 'set aside the corrupt block', path)
    }
  }

  /** Bytes of the blocks that were set aside since they had changed. @throws P2PError `io` */
  async corruptBytes(): Promise<number> {
    let bytes = 0
    for (const name of await this.#list(CORRUPT)) {
      const stats = await stat(join(this.#folder, CORRUPT, name)).catch(() => undefined)
      bytes += stats?.size ?? 0
    }
    return bytes
  }

  /** Removes the blocks that were set aside. @throws P2PError `io` */
  async removeCorrupt(): Promise<void> {
    const folder = join(this.#folder, CORRUPT)
    try {
      await rm(folder, { recursive: true, force: true })
    } catch (error) {
      throw localIoError(error, 'empty', folder)
    }
  }

  async #list(name: string): Promise<string[]> {
    const folder = join(this.#folder, name)
    try {
      return await readdir(folder)
    } catch (error) {
      const errno = errnoOf(error)
      if (errno === 'ENOENT' || errno === 'ENOTDIR') return []
      throw localIoError(error, 'list', folder)
    }
  }

  async #library(): Promise<LibraryStore> {
    // Loaded here because adding and serving do without it, and it is slow to load.
    const { FsBlockstore } = await import('blockstore-fs')
    this.#libraryStore ??= new FsBlockstore(this.#folder, { shardingStrategy: sharding })
    return this.#libraryStore
  }

  /** A power cut before a barrier can leave a file of the right length that holds zeros. */
  async #holds(cid: CID, bytes: Uint8Array): Promise<boolean> {
    const present = await this.#read(cid, {})
    return present !== undefined && Buffer.compare(present, bytes) === 0
  }

  async #sizeOf(cid: CID): Promise<number | undefined> {
    const path = this.#pathIfPossible(cid)
    if (path === undefined) return undefined
    try {
      return (await stat(path)).size
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined
      throw error
    }
  }

  /** Undefined where the shard is not there, and so no file in it. */
  #pathIfPossible(cid: CID): string | undefined {
    return this.#shards.has(shardOfMultihash(cid.multihash.bytes)) ? this.#pathOf(cid) : undefined
  }

  #pathOf(cid: CID): string {
    const { dir, file } = sharding.encode(cid)
    return join(this.#folder, dir, file)
  }

  async #read(cid: CID, options: ReadOptions): Promise<Uint8Array | undefined> {
    const path = this.#pathIfPossible(cid)
    if (path === undefined) return undefined
    try {
      return await readFileIfThere(path, options)
    } catch (error) {
      options.signal?.throwIfAborted()
      throw localIoError(error, 'read the block', path)
    }
  }

  async #write(cid: CID, bytes: Uint8Array): Promise<void> {
    const { dir, file } = sharding.encode(cid)
    const name = String(this.#temporaryCount++)
    const temporary = join(this.#folder, TEMPORARY, name)
    this.#temporaries.add(name)
    try {
      const handle = await openFile(temporary, 'wx')
      try {
        let written = 0
        while (written < bytes.byteLength) written += (await handle.write(bytes, written)).bytesWritten
      } finally {
        await handle.close()
      }
      await this.#makeShard(dir)
      await rename(temporary, join(this.#folder, dir, file))
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    } finally {
      this.#temporaries.delete(name)
    }
  }

  async #makeShard(shard: string): Promise<void> {
    if (this.#shards.has(shard)) return
    await makeFolderIn(join(this.#folder, shard))
    this.#shards.add(shard)
  }

  #changed(shard: string, blocks: number, bytes: number): void {
    this.#options.onChange?.({ shard, blocks, bytes })
  }

  /** Moves a corrupt block out of the way. The bytes, should it have been replaced by a good one in the meantime. */
  async #setAsideIfCorrupt(cid: CID): Promise<Uint8Array | undefined> {
    return await this.#writers.run(blockKey(cid), async () => {
      const bytes = await this.#read(cid, {})
      if (bytes === undefined || matchesCid(cid, bytes)) return bytes
      const { dir, file } = sharding.encode(cid)
      await this.#setAside(dir, file)
      this.#options.onCorrupt?.(cid)
      return undefined
    })
  }

  async #setAside(shard: string, file: string): Promise<void> {
    const path = join(this.#folder, shard, file)
    await this.#options.beforeSetAside?.()
    try {
      await makeFolderIn(join(this.#folder, CORRUPT))
      const { size } = await stat(path)
      await rename(path, join(this.#folder, CORRUPT, basename(file, EXTENSION)))
      this.#changed(shard, -1, -size)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw localIoError(error, 'set aside the corrupt block', path)
    }
  }
}

/** Undefined for a file that somebody else put here. */
function keyOfName(name: string): BlockKey | undefined {
  if (!name.endsWith(EXTENSION)) return undefined
  try {
    return blockKey(sharding.decode(name))
  } catch {
    return undefined
  }
}
