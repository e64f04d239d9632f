/**
 * How many blocks there are in the store's own files, and their bytes, without looking at them each time: counted once,
 * kept up with every change, and remembered between runs that end in order. Used by `pin/collector.ts` and `p2p repo`.
 */

import * as Digest from 'multiformats/hashes/digest'
import { mapBounded } from '../common/concurrency.ts'
import { type BlockKey, multihashOfKey, rawCid } from '../dag/cid.ts'
import type { Space } from '../database/database.ts'
import type { BlockStore } from './blockstore.ts'

/** What a write or a removal has changed. */
export interface StoreChange {
  shard: string
  blocks: number
  bytes: number
}

export interface Usage {
  blocks: number
  bytes: number
}

/** What is remembered holds for one boot of the machine: a power cut may take back what was changed last. */
interface UsageRecord extends Usage {
  bootId: string
}

export interface CountedStore extends Pick<BlockStore, 'size'> {
  shardNames(): Promise<string[]>
  keysIn(shard: string): Promise<BlockKey[]>
}

interface Counting {
  usage: Usage
  /** Shards that are in it; their changes are added to it. */
  counted: Set<string>
  /** Shards that have changed, and are not in it yet. */
  changed: Set<string>
}

const RECORD = Buffer.from('store')
const PARALLEL = 16

export class StoreUsage {
  readonly #space: Space
  readonly #bootId: string
  #known: Usage | undefined
  #counting: (Counting & { done: Promise<Usage> }) | undefined

  private constructor(space: Space, bootId: string, known: Usage | undefined) {
    this.#space = space
    this.#bootId = bootId
    this.#known = known
  }

  /** Takes up what the last run has left. @throws P2PError `io`, `disk-full` */
  static async open(space: Space, bootId: string): Promise<StoreUsage> {
    const value = await space.get(RECORD)
    const record = value && (JSON.parse(Buffer.from(value).toString()) as UsageRecord)
    // Only written again when this run ends in order.
    if (record !== undefined) await space.del(RECORD)
    const known = record?.bootId === bootId ? { blocks: record.blocks, bytes: record.bytes } : undefined
    return new StoreUsage(space, bootId, known)
  }

  /** To be called with every change of the store. */
  readonly change = ({ shard, blocks, bytes }: StoreChange): void => {
    const counting = this.#counting
    if (counting?.counted.has(shard) === false) {
      counting.changed.add(shard)
      return
    }
    const usage = counting?.usage ?? this.#known
    if (usage === undefined) return
    usage.blocks += blocks
    usage.bytes += bytes
  }

  /** Counts, if the run before has not left the figures. @throws P2PError `io` */
  async measure(store: CountedStore): Promise<Usage> {
    if (this.#known !== undefined) return { ...this.#known }
    if (this.#counting === undefined) {
      const counting: Counting = { usage: { blocks: 0, bytes: 0 }, counted: new Set(), changed: new Set() }
      this.#counting = { ...counting, done: this.#count(store, counting) }
    }
    return { ...(await this.#counting.done) }
  }

  /** The run ends in order. @throws P2PError `io`, `disk-full` */
  async close(): Promise<void> {
    if (this.#known === undefined) return
    const record: UsageRecord = { ...this.#known, bootId: this.#bootId }
    await this.#space.put(RECORD, Buffer.from(JSON.stringify(record)))
  }

  async #count(store: CountedStore, counting: Counting): Promise<Usage> {
    try {
      for (const shard of await store.shardNames()) await countShard(store, shard, counting)
      // Those that were made meanwhile.
      for (const shard of counting.changed) await countShard(store, shard, counting)
      this.#known = counting.usage
      return counting.usage
    } finally {
      this.#counting = undefined
    }
  }
}

async function countShard(store: CountedStore, shard: string, { usage, counted, changed }: Counting): Promise<void> {
  let sizes: (number | undefined)[]
  do {
    changed.delete(shard)
    const keys = await store.keysIn(shard)
    sizes = await mapBounded(keys, PARALLEL, (key) => store.size(rawCid(Digest.decode(multihashOfKey(key)))))
    // What changed meanwhile may be among them or not.
  } while (changed.has(shard))
  for (const size of sizes) {
    if (size === undefined) continue
    usage.blocks++
    usage.bytes += size
  }
  counted.add(shard)
}
