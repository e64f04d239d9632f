/**
 * Which blocks are held, and by whom: an index in the database with one record for each block of each holder. A holder
 * is a pin, or an operation under way (`hold.ts`); records of others are worth nothing, and gc removes them.
 *
 * The records are in the order of the block store's shards, so that gc compares one shard at a time.
 */

import { keyOfSharded, shardedKey } from '../blockstore/sharding.ts'
import type { BlockKey } from '../dag/cid.ts'
import type { Database, Space, SpaceWrite } from '../database/database.ts'

/** 16 hexadecimal digits. */
export type HolderId = string

const HOLDER_BYTES = 8
const NO_VALUE = new Uint8Array(0)

export interface HeldBlock {
  key: BlockKey
  holder: HolderId
}

export class HeldBlocks {
  readonly #database: Database
  readonly #space: Space

  constructor(database: Database) {
    this.#database = database
    this.#space = database.space('held')
  }

  /** What to write so that this holder has the block. */
  put(key: BlockKey, holder: HolderId): SpaceWrite {
    return { space: this.#space, type: 'put', key: recordKey(key, holder), value: NO_VALUE }
  }

  /** Makes records; durable when it returns. @throws P2PError `io`, `disk-full` */
  async add(keys: Iterable<BlockKey>, holder: HolderId): Promise<void> {
    await this.#database.write(
      Array.from(keys, (key) => this.put(key, holder)),
      { sync: true },
    )
  }

  /** Removes records, not synced: they were worth nothing. @throws P2PError `io`, `disk-full` */
  async remove(records: readonly HeldBlock[]): Promise<void> {
    await this.#space.batch(records.map(({ key, holder }) => ({ type: 'del', key: recordKey(key, holder) })))
  }

  /** Those of the keys of which this holder has no record. */
  async missing(keys: readonly BlockKey[], holder: HolderId): Promise<BlockKey[]> {
    const values = await this.#space.getMany(keys.map((key) => recordKey(key, holder)))
    return keys.filter((_key, index) => values[index] === undefined)
  }

  /** Everyone who has a record of the block. */
  async *holdersOf(key: BlockKey): AsyncGenerator<HolderId> {
    // A multihash tells its own length, so that no block's records are among those of another.
    for await (const [record] of this.#space.iterate({ prefix: shardedKey(key) })) yield parse(record).holder
  }

  /** All records, or those of one shard, in the order of the keys. */
  async *list(shard = ''): AsyncGenerator<HeldBlock> {
    for await (const [record] of this.#space.iterate({ prefix: Buffer.from(shard) })) yield parse(record)
  }
}

function recordKey(key: BlockKey, holder: HolderId): Uint8Array {
  return Buffer.concat([shardedKey(key), Buffer.from(holder, 'hex')])
}

function parse(record: Uint8Array): HeldBlock {
  const end = record.byteLength - HOLDER_BYTES
  return {
    key: keyOfSharded(record.subarray(0, end)),
    holder: Buffer.from(record.subarray(end)).toString('hex'),
  }
}
