/**
 * Where each packed block lies. In the database are only blocks that survive a power cut; of those that were written
 * since, memory knows, and after a crash the end of the newest packs, which is read again (`pack-store.ts`).
 *
 * The records are in the order of the block store's shards, as those of `pin/held-blocks.ts` are.
 */

import { Batcher } from '../common/batcher.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import type { BlockKey } from '../dag/cid.ts'
import type { Database, Space, SpaceWrite } from '../database/database.ts'
import { decodePlace, encodePlace, type PackPlace } from './pack-format.ts'
import { keyOfSharded, SHARD_CHARACTERS, shardedKey, shardOf } from './sharding.ts'

const END_RECORD = Buffer.from('end')

/** Up to where packs are indexed. */
export interface IndexedEnd {
  pack: number
  /** Bytes from the start of that pack; all packs with lower numbers are indexed as a whole. */
  offset: number
}

interface ShardedKey {
  shard: string
  key: BlockKey
}

/** Places in memory. */
class Places {
  readonly #shards = new Map<string, Map<BlockKey, PackPlace>>()
  size = 0

  get(shard: string, key: BlockKey): PackPlace | undefined {
    return this.#shards.get(shard)?.get(key)
  }

  set(shard: string, key: BlockKey, place: PackPlace): void {
    let places = this.#shards.get(shard)
    if (places === undefined) {
      places = new Map()
      this.#shards.set(shard, places)
    }
    if (!places.has(key)) this.size++
    places.set(key, place)
  }

  delete(shard: string, key: BlockKey): void {
    const places = this.#shards.get(shard)
    if (places?.delete(key) !== true) return
    this.size--
    if (places.size === 0) this.#shards.delete(shard)
  }

  shards(): Iterable<string> {
    return this.#shards.keys()
  }

  in(shard: string): Iterable<[BlockKey, PackPlace]> {
    return this.#shards.get(shard) ?? []
  }

  *all(): Generator<[shard: string, key: BlockKey, place: PackPlace]> {
    for (const [shard, places] of this.#shards) for (const [key, place] of places) yield [shard, key, place]
  }
}

export class PackIndex {
  readonly #database: Database
  readonly #places: Space
  readonly #ends: Space
  /** Blocks of which the database does not know this place yet; the first of these are about to be written. */
  #settling = new Places()
  #recent = new Places()
  #end: IndexedEnd = { pack: 0, offset: 0 }
  readonly #lookups = new Batcher((blocks: ShardedKey[]) => this.#getMany(blocks))
  readonly #removals = new Batcher((blocks: ShardedKey[]) => this.#delMany(blocks))
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
    const shard = shardOf(key)
    return this.#recent.get(shard, key) ?? this.#settling.get(shard, key) ?? (await this.#lookups.add({ shard, key }))
  }

  /** The block lies here from now on; the database learns it from {@link settle}. */
  set(key: BlockKey, place: PackPlace): void {
    this.#recent.set(shardOf(key), key, place)
  }

  /** Blocks that the database does not know of. */
  get unsettled(): number {
    return this.#recent.size + this.#settling.size
  }

  /** What was set before the call is what {@link settle} writes. */
  beginSettling(): void {
    if (this.#settling.size === 0) this.#settling = this.#recent
    else for (const [shard, key, place] of this.#recent.all()) this.#settling.set(shard, key, place)
    this.#recent = new Places()
  }

  /**
   * Writes down what was set before {@link beginSettling} and survives a power cut by now. That the record itself does is
   * up to the next synced write: until then the packs are read again from where the last one says.
   *
   * @throws P2PError `io`, `disk-full`; what it did not write is for the next time
   */
  async settle(end: IndexedEnd): Promise<void> {
    await this.#lock.run('index', async () => {
      const places = Array.from(this.#settling.all(), ([shard, key, place]): SpaceWrite => {
        return { space: this.#places, type: 'put', key: shardedKey(key, shard), value: encodePlace(place) }
      })
      await this.#database.write([...places, this.#putEnd(end)])
      this.#end = end
      this.#settling = new Places()
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
      for (const [shard, key, place] of places.all()) {
        if (place.pack !== pack) continue
        places.delete(shard, key)
        forgotten.push([key, place])
      }
    }
    return forgotten
  }

  /** @throws P2PError `io`, `disk-full` */
  async remove(key: BlockKey): Promise<void> {
    const shard = shardOf(key)
    this.#recent.delete(shard, key)
    this.#settling.delete(shard, key)
    await this.#removals.add({ shard, key })
  }

  /** Shards that have blocks, in no order. */
  async shards(): Promise<string[]> {
    const shards = new Set<string>()
    for (const places of [this.#settling, this.#recent]) for (const shard of places.shards()) shards.add(shard)
    let shard = await this.#shardAfter('')
    for (; shard !== undefined; shard = await this.#shardAfter(shard)) shards.add(shard)
    return [...shards]
  }

  /** The blocks of a shard. Those that move or go meanwhile may be told as they were. */
  async blocksIn(shard: string): Promise<Map<BlockKey, PackPlace>> {
    // In this order, since what memory knows moves from here into the database.
    const unsettled = [...this.#settling.in(shard), ...this.#recent.in(shard)]
    const blocks = new Map<BlockKey, PackPlace>()
    for await (const [record, value] of this.#places.iterate({ prefix: Buffer.from(shard) })) {
      blocks.set(keyOfSharded(record), decodePlace(value))
    }
    for (const [key, place] of unsettled) blocks.set(key, place)
    return blocks
  }

  async #shardAfter(shard: string): Promise<string | undefined> {
    const from = Buffer.from(shard)
    if (from.length > 0) from[from.length - 1]! += 1
    for await (const [record] of this.#places.iterate({ from })) {
      return Buffer.from(record.subarray(0, SHARD_CHARACTERS)).toString('latin1')
    }
    return undefined
  }

  #putEnd(end: IndexedEnd): SpaceWrite {
    return { space: this.#ends, type: 'put', key: END_RECORD, value: Buffer.from(JSON.stringify(end)) }
  }

  async #getMany(blocks: ShardedKey[]): Promise<(PackPlace | undefined)[]> {
    const values = await this.#places.getMany(blocks.map(({ shard, key }) => shardedKey(key, shard)))
    return values.map((value) => value && decodePlace(value))
  }

  async #delMany(blocks: ShardedKey[]): Promise<undefined[]> {
    const records = blocks.map(({ shard, key }) => ({ type: 'del' as const, key: shardedKey(key, shard) }))
    await this.#lock.run('index', () => this.#places.batch(records))
    return new Array(blocks.length).fill(undefined)
  }
}
