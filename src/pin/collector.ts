/**
 * When garbage is collected: when somebody asks, one collection at a time, and by itself where the store has a quota.
 * There, results of downloads go too, the one that was of no use for longest first. Built by `node/open.ts`.
 */

import type { CID } from 'multiformats/cid'
import type { StoreUsage } from '../blockstore/store-usage.ts'
import { type AbortOptions, raceAbort } from '../common/abort.ts'
import { P2PError } from '../common/errors.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import { formatBytes } from '../common/units.ts'
import { collectGarbage, type GcCounts, type GcOptions, type GcParts } from './gc.ts'

export interface Quota {
  /** Most bytes of block files; null for no limit. */
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

export class Collector {
  readonly #parts: GcParts
  readonly #options: CollectorOptions
  readonly #lock = new KeyedLock()
  readonly #closing = new AbortController()
  #relief: Promise<void> | undefined

  constructor(parts: GcParts, options: CollectorOptions) {
    this.#parts = parts
    this.#options = options
  }

  /** Collects once no other collection is under way. @throws as {@link collectGarbage} */
  async collect(options: GcOptions = {}): Promise<GcCounts> {
    return await this.#lock.run('collection', () => collectGarbage(this.#parts, options))
  }

  /**
   * Makes sure that so many bytes more may be stored, and makes room for them if they may not.
   *
   * @throws P2PError `disk-full` if what is kept leaves no room below the quota
   */
  async reserve(bytes: number): Promise<void> {
    const { maxBytes } = this.#options.quota
    if (maxBytes === null || (await this.#storedBytes()) + bytes <= maxBytes) return
    await this.#makeRoom(maxBytes)
    if ((await this.#storedBytes()) + bytes <= maxBytes) return
    throw new P2PError('disk-full', `The store has reached its limit of ${formatBytes(maxBytes)} (store.maxSize)`, {
      hint: 'Raise store.maxSize, or give something up with "p2p pin rm" and run "p2p gc".',
    })
  }

  /**
   * Collects if the store is above its high-water mark. What was done before it stands, so that it never fails; when the
   * signal aborts, it is not waited for.
   */
  async relieve(options: AbortOptions = {}): Promise<void> {
    if (this.#options.quota.maxBytes === null || this.#closing.signal.aborted) return
    this.#relief ??= this.#relieveNow()
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
    await this.#relief
  }

  async #relieveNow(): Promise<void> {
    const { maxBytes, highWater } = this.#options.quota
    if (maxBytes !== null && (await this.#storedBytes()) > maxBytes * highWater) await this.#makeRoom(maxBytes)
  }

  async #makeRoom(maxBytes: number): Promise<void> {
    const { quota, onCollected } = this.#options
    const { signal } = this.#closing
    let { bytes } = await this.collect({ signal })
    const kept = await this.#oldestKept()
    let evicted = 0
    // More each time, since every collection looks at everything.
    for (let count = 1; evicted < kept.length && (await this.#storedBytes()) > maxBytes * quota.lowWater; count *= 2) {
      for (const cid of kept.slice(evicted, evicted + count)) {
        await this.#parts.pins.remove(cid, { kind: 'kept' })
      }
      evicted = Math.min(kept.length, evicted + count)
      bytes += (await this.collect({ signal })).bytes
    }
    if (bytes > 0 || evicted > 0) onCollected?.({ bytes, evicted })
  }

  async #oldestKept(): Promise<CID[]> {
    const kept: { cid: CID; usedAt: number }[] = []
    for await (const { cid, kind, usedAt, createdAt } of this.#parts.pins.list()) {
      if (kind === 'kept') kept.push({ cid, usedAt: usedAt ?? createdAt })
    }
    return kept.sort((one, other) => one.usedAt - other.usedAt).map(({ cid }) => cid)
  }

  async #storedBytes(): Promise<number> {
    return (await this.#options.usage.measure(this.#parts.blocks)).bytes
  }
}
