/**
 * A temporary pin: what an operation stores or relies on is held from before it is stored until the operation ends, or
 * a pin takes over. After a crash nobody counts its records any more. Made by `pins.ts`.
 */

import { randomBytes } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../blockstore/blockstore.ts'
import { type BlockKey, blockKey, isIdentity } from '../dag/cid.ts'
import type { SpaceWrite } from '../database/database.ts'
import type { HeldBlocks, HolderId } from './held-blocks.ts'

/** Held in memory until so many are written together, or with the pin. */
const RECORDS_PER_WRITE = 16_384

export class Hold {
  readonly id: HolderId = randomBytes(8).toString('hex')
  readonly #index: HeldBlocks
  readonly #sweepUnderWay: () => Promise<void>
  #noted = new Set<BlockKey>()
  #beingWritten: ReadonlySet<BlockKey> = new Set()
  #writing: Promise<void> = Promise.resolve()
  /** The root that has taken it over: its records are those of one pin, since they go when that goes. */
  root: CID | undefined

  /** @param sweepUnderWay - resolves when nobody removes blocks any more who may not have seen what was noted before */
  constructor(index: HeldBlocks, sweepUnderWay: () => Promise<void>) {
    this.#index = index
    this.#sweepUnderWay = sweepUnderWay
  }

  /** The store, with every block held before it is put. */
  over(store: Pick<BlockStore, 'put'>): Pick<BlockStore, 'put'> {
    return {
      put: async (cid, bytes, options) => {
        await this.add([cid])
        await store.put(cid, bytes, options)
      },
    }
  }

  /**
   * Holds the blocks, whether they are here or not: one that is here when this returns, or is put later, stays.
   *
   * @throws P2PError `io`, `disk-full`
   */
  async add(cids: readonly CID[]): Promise<void> {
    for (const cid of cids) if (!isIdentity(cid)) this.#noted.add(blockKey(cid))
    await this.#sweepUnderWay()
    if (this.#noted.size < RECORDS_PER_WRITE) return
    // Waits for its turn, so that what is noted stays bounded when the disk cannot keep up.
    this.#writing = this.#writing.then(() => this.#write())
    await this.#writing
  }

  /** Whether this holds a block of which the index has no record yet. */
  hasUnwritten(key: BlockKey): boolean {
    return this.#noted.has(key) || this.#beingWritten.has(key)
  }

  /** What is left to write, with the pin, once {@link written} has returned. */
  unwritten(): SpaceWrite[] {
    return Array.from(this.#noted, (key) => this.#index.put(key, this.id))
  }

  /** Waits for what is being written. @throws P2PError `io`, `disk-full` */
  async written(): Promise<void> {
    await this.#writing
  }

  async #write(): Promise<void> {
    if (this.#noted.size < RECORDS_PER_WRITE) return
    const batch = this.#noted
    this.#noted = new Set()
    this.#beingWritten = batch
    await this.#index.add(batch, this.id)
    this.#beingWritten = new Set()
  }
}
