/**
 * Where each packed block lies. In the database are only blocks that survive a power cut; of those that were written
 * since, memory knows, and after a crash the end of the newest packs, which is read again (`pack-store.ts`).
 *
 * The records are in the order of the block store's shards, as those of `pin/held-blocks.ts` are.
 */

import { Batcher } from '../common/batcher.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import { type BlockKey, keyOfMultihash } from '../dag/cid.ts'
import type { Database, Space, SpaceWrite } from '../database/database.ts'
import { decodePlace, encodePlace, type PackPlace } from './pack-format.ts'
import { shardOf } from './sharding.ts'

const SHARD_BYTES = 2
const END_RECORD = Buffer.from('end')

/** Up to where packs are indexed. */
export interface IndexedEnd {
  pack: number
  /** Bytes from the start of that pack; all packs with lower numbers are indexed as a whole. */
  offset: number
}

interface Unsettled extends PackPlace {
  shard: string
}

export class PackIndex {
  readonly #database: Database
  readonly #places: Space
  readonly #ends: Space
  /** Blocks of which the database does not know this place yet; the first of these are about to be written. */
  #settling = new Map<BlockKey, Unsettled>()
  #recent = new Map<BlockKey, Unsettled>()
  #end: IndexedEnd = { pack: 0, offset: 0 }
  readonly #lookups = new Batcher((keys: BlockKey[]) => this.#getMany(keys))
  readonly #removals = new Batcher((keys: BlockKey[]) => this.#delMany(keys))
  /** Of writes to the database. */
  readonly #lock = new KeyedLock()

  constructor(database: Database) {
    this.#database = database
    this.#places = database.space('packed')
    this.#ends = database.space('packed-end')
  }

  /** Up to where what was packed is in the database. @throws P2PError `io` */
  async load(): Promise<IndexedEnd> {
    const value = await this.#ends.get(END_RECORD)
    if (value !== undefined) this.#end = JSON.parse(Buffer.from(value).toString()) as IndexedEnd
    return this.#end
  }

  /** @throws P2PError `io` */
  async lookup(key: BlockKey): Promise<PackPlace | undefined> {
    return this.#recent.get(key) ?? this.#settling.get(key) ?? (await this.#lookups.add(key))
  }

  /** The block lies here from now on; the database learns it from {@link settle}. */
  set(key: BlockKey, place: PackPlace): void {
    this.#recent.set(key, { ...place, shard: shardOf(key) })
  }

  /** Blocks that the database does not know of. */
  get unsettled(): number {
    return this.#recent.size + this.#settling.size
  }

  /** What was set before the call is what {@link settle} writes. */
  beginSettling(): void {
    for (const [key, place] of this.#recent) this.#settling.set(key, place)
    this.#recent = new Map()
  }

  /**
   * Writes down what was set before {@link beginSettling} and survives a power cut by now. That the record itself does is
   * up to the next synced write: until then the packs are read again from where the last one says.
   *
   * @throws P2PError `io`, `disk-full`; what it did not write is for the next time
   */
  async settle(end: IndexedEnd): Promise<void> {
    await this.#lock.run('index', async () => {
      const places = Array.from(this.#settling, ([key, place]): SpaceWrite => {
        return { space: this.#places, type: 'put', key: recordKey(place.shard, key), value: encodePlace(place) }
      })
      await this.#database.write([...places, this.#putEnd(end)])
      this.#end = end
      this.#settling = new Map()
    })
  }

  /** Makes everything that the database was told survive a power cut. @throws P2PError `io`, `disk-full` */
  async sync(): Promise<void> {
    await this.#lock.run('index', () => this.#database.write([this.#putEnd(this.#end)], { sync: true }))
  }

  /** Forgets the blocks of a pack that the database does not know of. @returns what it knew of them */
  forgetUnsettled(pack: number): [key: BlockKey, place: PackPlace][] {
    const forgotten: [BlockKey, PackPlace][] = []
    for (const places of [this.#settling, this.#recent]) {
      for (const [key, place] of places) {
        if (place.pack !== pack) continue
        places.delete(key)
        forgotten.push([key, place])
      }
    }
    return forgotten
  }

  /** @throws P2PError `io`, `disk-full` */
  async remove(key: BlockKey): Promise<void> {
    this.#recent.delete(key)
    this.#settling.delete(key)
    await this.#removals.add(key)
  }

  /** Shards that have blocks, in no order. */
  async shards(): Promise<string[]> {
    const shards = new Set<string>()
    for (const places of [this.#settling, this.#recent]) for (const { shard } of places.values()) shards.add(shard)
    let shard = await this.#shardAfter('')
    for (; shard !== undefined; shard = await this.#shardAfter(shard)) shards.add(shard)
    return [...shards]
  }

  /** The blocks of a shard. Those that move or go meanwhile may be told as they were. */
  async blocksIn(shard: string): Promise<Map<BlockKey, PackPlace>> {
    // In this order, since what memory knows moves from here into the database.
    const unsettled = new Map<BlockKey, PackPlace>()
    for (const places of [this.#settling, this.#recent]) {
      for (const [key, place] of places) if (place.shard === shard) unsettled.set(key, place)
    }
    const blocks = new Map<BlockKey, PackPlace>()
    for await (const [record, value] of this.#places.iterate({ prefix: Buffer.from(shard) })) {
      blocks.set(keyOfMultihash(record.subarray(SHARD_BYTES)), decodePlace(value))
    }
    for (const [key, place] of unsettled) blocks.set(key, place)
    return blocks
  }

  async #shardAfter(shard: string): Promise<string | undefined> {
    const from = Buffer.from(shard)
    if (from.length > 0) from[from.length - 1]! += 1
    for await (const [record] of this.#places.iterate({ from })) {
      return Buffer.from(record.subarray(0, SHARD_BYTES)).toString('latin1')
    }
    return undefined
  }

  #putEnd(end: IndexedEnd): SpaceWrite {
    return { space: this.#ends, type: 'put', key: END_RECORD, value: Buffer.from(JSON.stringify(end)) }
  }

  async #getMany(keys: BlockKey[]): Promise<(PackPlace | undefined)[]> {
    const values = await this.#places.getMany(keys.map((key) => recordKey(shardOf(key), key)))
    return values.map((value) => value && decodePlace(value))
  }

  async #delMany(keys: BlockKey[]): Promise<undefined[]> {
    const records = keys.map((key) => ({ type: 'del' as const, key: recordKey(shardOf(key), key) }))
    await this.#lock.run('index', () => this.#places.batch(records))
    return new Array(keys.length).fill(undefined)
  }
}

function recordKey(shard: string, key: BlockKey): Uint8Array {
  return Buffer.from(shard + key, 'latin1')
}
