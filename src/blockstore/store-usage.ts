/**
 * How many blocks there are in the store's own files, and their bytes, without looking at them each time: counted once,
 * kept up with every change, and remembered between runs that end in order. Used by `pin/collector.ts` and `p2p repo`.
 */

import type { Space } from '../database/database.ts'

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

export interface CountedStore {
  shardNames(): Promise<string[]>
  usageOf(shard: string): Promise<Usage>
}

interface Counting {
  usage: Usage
  /** Shards that are in it; their changes are added to it. */
  counted: Set<string>
  /** Shards that have changed, and are not in it yet. */
  changed: Set<string>
}

const RECORD = Buffer.from('store')

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
  let found: Usage
  do {
    changed.delete(shard)
    found = await store.usageOf(shard)
    // What changed meanwhile may be in it or not.
  } while (changed.has(shard))
  usage.blocks += found.blocks
  usage.bytes += found.bytes
  counted.add(shard)
}
