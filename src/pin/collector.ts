/**
 * When garbage is collected: when somebody asks, one collection at a time, and by itself where the store has a quota.
 * There, results of downloads go too (`eviction.ts`). Built by `node/open.ts`.
 */

import type { StoreUsage } from '../blockstore/store-usage.ts'
import { type AbortOptions, abortControllerForMany, raceAbort } from '../common/abort.ts'
import { P2PError } from '../common/errors.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import { formatBytes } from '../common/units.ts'
import { rootsToEvict } from './eviction.ts'
import { collectGarbage, type GcCounts, type GcOptions, type GcParts } from './gc.ts'
import type { ImportMemory } from './import-memory.ts'

export interface Quota {
  /** Most bytes of blocks in files of this program; null for no limit. */
  maxBytes: number | null
  /** Parts of it, from 0 to 1: above the one a collection starts, down to the other it goes on. */
  highWater: number
  lowWater: number
}

export interface CollectorOptions {
  quota: Quota
  usage: StoreUsage
  /** A collection that nobody has asked for has removed something, or what a download left. */
  onCollected?: ((event: { bytes: number; evicted: number }) => void) | undefined
  /** It has failed. */
  onError?: ((error: unknown) => void) | undefined
}

export interface CollectorParts extends GcParts {
  memory: Pick<ImportMemory, 'sweep'>
}

export class Collector {
  readonly #parts: CollectorParts
  readonly #options: CollectorOptions
  readonly #lock = new KeyedLock()
  readonly #closing = abortControllerForMany()
  #relief: Promise<void> | undefined

  constructor(parts: CollectorParts, options: CollectorOptions) {
    this.#parts = parts
    this.#options = options
  }

  /** Collects once no other collection is under way. @throws as {@link collectGarbage}; `disk-full` */
  async collect(options: GcOptions = {}): Promise<GcCounts> {
    const release = await this.#lock.take('collection', options)
    try {
      const counts = await collectGarbage(this.#parts, options)
      if (options.dryRun !== true) await this.#parts.memory.sweep()
      return counts
    } finally {
      release()
    }
  }

  /**
   * Makes sure that so many bytes more may be stored, and makes room for them if they may not.
   *
   * @throws P2PError `disk-full` if what is kept leaves no room below the quota; the signal's reason if it aborts before
   */
  async reserve(bytes: number, options: AbortOptions = {}): Promise<void> {
    const { maxBytes, highWater, lowWater } = this.#options.quota
    if (maxBytes === null) return
    const most = maxBytes - bytes
    if ((await this.#storedBytes()) <= most) return
    // Down to a mark, if that can be, so that the next block does not ask for another collection.
    const marks = [lowWater, highWater].map((part) => Math.min(maxBytes * part, most))
    options.signal?.throwIfAborted()
    await raceAbort(this.#makeRoom([...marks, most]), options)
    if ((await this.#storedBytes()) <= most) return
    throw new P2PError('disk-full', `The store has reached its limit of ${formatBytes(maxBytes)} (store.maxSize)`, {
      hint: (await this.#keepsAnything())
        ? 'Raise store.maxSize, or give something up with "p2p pin rm" and run "p2p gc".'
        : 'Nothing else is kept that could be given up: what is being stored needs more than that. Raise store.maxSize.',
    })
  }

  /**
   * Collects if the store is above its high-water mark. What was done before it stands, so that it never fails; when the
   * signal aborts, it is not waited for.
   */
  async relieve(options: AbortOptions = {}): Promise<void> {
    const { maxBytes, highWater, lowWater } = this.#options.quota
    if (maxBytes === null || this.#closing.signal.aborted) return
    this.#relief ??= this.#makeRoom([maxBytes * lowWater, maxBytes * highWater])
      .catch((error) => {
        if (!this.#closing.signal.aborted) this.#options.onError?.(error)
      })
      .finally(() => {
        this.#relief = undefined
      })
    await raceAbort(this.#relief, options).catch(() => {})
  }

  /** Ends a collection that nobody has asked for. */
  async close(): Promise<void> {
    this.#closing.abort(new P2PError('aborted', 'The repo is being closed'))
    await this.#lock.run('room', async () => {})
  }

  /** Collects if more than the last of the limits is stored, down to the first one that can be had. */
  async #makeRoom(limits: readonly number[]): Promise<void> {
    await this.#lock.run('room', async () => {
      const { signal } = this.#closing
      signal.throwIfAborted()
      if ((await this.#storedBytes()) <= limits.at(-1)!) return
      let { bytes } = await this.collect({ signal })
      const stored = await this.#storedBytes()
      const evicted = await rootsToEvict(
        this.#parts,
        limits.map((limit) => stored - limit),
      )
      for (const cid of evicted) await this.#parts.pins.remove(cid, { kind: 'kept' })
      if (evicted.length > 0) bytes += (await this.collect({ signal })).bytes
      if (bytes > 0 || evicted.length > 0) this.#options.onCollected?.({ bytes, evicted: evicted.length })
    })
  }

  async #keepsAnything(): Promise<boolean> {
    for await (const _ of this.#parts.pins.list()) return true
    return false
  }

  async #storedBytes(): Promise<number> {
    return (await this.#options.usage.measure(this.#parts.blocks)).bytes
  }
}
