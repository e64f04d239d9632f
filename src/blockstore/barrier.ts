/**
 * What makes block files survive a power cut: it collects the files that were put, syncs them and then the folders that
 * name them. One for each `fs-blockstore.ts`, whose `sync` it is.
 */

import { join } from 'node:path'
import { mapBounded } from '../common/concurrency.ts'
import { errnoOf, localIoError } from '../common/errors.ts'
import { MiB } from '../common/units.ts'
import { LostBlocks } from './lost-blocks.ts'
import { openFile, syncFolder } from './open-file.ts'
import { SyncTurns } from './sync-turns.ts'

const PARALLEL = 16
/** Written and not yet synced: beyond this, syncing starts in the background. */
const BACKGROUND_BYTES = 64 * MiB
const BACKGROUND_FILES = 32_768
/** As many as libuv has threads by default: more would keep reading and writing waiting. */
const BACKGROUND_PARALLEL = 4

interface PutFile {
  shard: string
  file: string
}

export interface BarrierOptions {
  /** Takes away a file that cannot be trusted. */
  setAside: (shard: string, file: string) => Promise<void>
  /** Whether somebody who may have put a file has not passed yet. */
  isAwaited: (file: string) => Promise<boolean>
}

export class Barrier {
  readonly #folder: string
  readonly #options: BarrierOptions

  /** By file name. */
  #files = new Map<string, PutFile>()
  #bytes = 0
  #shards = new Set<string>()
  /** By file name. */
  readonly #lost: LostBlocks

  readonly #turns = new SyncTurns()

  /** @param folder - holds the shards */
  constructor(folder: string, options: BarrierOptions) {
    this.#folder = folder
    this.#options = options
    this.#lost = new LostBlocks(options.isAwaited)
  }

  /**
   * Notes a file that is in its place. Starts writing out once enough has gathered, so that the barrier finds little
   * left and the list stays short; if that is still going on from the last time, the disk cannot keep up, and the
   * caller waits for it.
   */
  async add(shard: string, file: string, bytes: number): Promise<void> {
    this.#lost.delete(file)
    this.#files.set(file, { shard, file })
    this.#shards.add(shard)
    this.#bytes += bytes
    const isEnough = () => this.#bytes >= BACKGROUND_BYTES || this.#files.size >= BACKGROUND_FILES
    await this.#turns.runIfNeeded({ isEnough, isTooMuch: isEnough }, () => this.#syncFiles(BACKGROUND_PARALLEL))
  }

  /**
   * When it returns, every file that was added before the call survives a power cut.
   *
   * @throws P2PError `io`, `disk-full`
   */
  async pass(): Promise<void> {
    await this.#turns.run(async () => {
      const shards = this.#shards
      this.#shards = new Set()
      try {
        await this.#syncFiles(PARALLEL)
        await mapBounded([...shards], PARALLEL, (shard) => syncFolder(join(this.#folder, shard)))
        // Always, since a shard that was there may stem from a run that ended before its barrier.
        if (shards.size > 0) await syncFolder(this.#folder)
      } catch (error) {
        for (const shard of shards) this.#shards.add(shard)
        throw localIoError(error, 'sync the block store', this.#folder)
      }
      await this.#lost.tell()
    })
  }

  /** @throws what stopped it; the files that it did not come to are then for the next sync */
  async #syncFiles(parallel: number): Promise<void> {
    const files = this.#files
    this.#files = new Map()
    this.#bytes = 0
    try {
      await mapBounded([...files.values()], parallel, async (put) => {
        await this.#syncFile(put)
        files.delete(put.file)
      })
    } catch (error) {
      for (const [name, put] of files) this.#files.set(name, put)
      throw error
    }
  }

  async #syncFile({ shard, file }: PutFile): Promise<void> {
    const path = join(this.#folder, shard, file)
    let handle: Awaited<ReturnType<typeof openFile>>
    try {
      handle = await openFile(path, 'r')
    } catch (error) {
      // Deleted or set aside since it was put.
      if (errnoOf(error) === 'ENOENT') return
      throw error
    }
    try {
      await handle.datasync()
    } catch (error) {
      // The system may have dropped the bytes, and would report success the next time: the file cannot be trusted.
      this.#lost.add(file, localIoError(error, 'sync the block', path))
      await this.#options.setAside(shard, file)
    } finally {
      await handle.close()
    }
  }
}
