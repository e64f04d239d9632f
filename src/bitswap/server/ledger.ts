/**
 * What one peer wants from us: pure state, changed by its messages and by what is sent to it. Dropped when the peer
 * disconnects. Bounded: a peer that wants more than {@link MAX_WANTS} loses first what we do not have anyway, then what
 * matters least to it.
 */

import type { CID } from 'multiformats/cid'
import { type BlockKey, blockKey } from '../../dag/cid.ts'
import { WANT_HAVE, type WantEntry, type WantType } from '../message.ts'

/** boxo keeps as many. */
const MAX_WANTS = 1024

export interface LedgerWant {
  readonly key: BlockKey
  readonly cid: CID
  readonly wantType: WantType
  readonly priority: number
  readonly sendDontHave: boolean
  /** Order of arrival. */
  readonly sequence: number
  /** Bytes of the block; undefined while it is not known whether we have it, null if we do not. */
  readonly size: number | null | undefined
}

/** Only the ledger changes what the order of sending depends on. */
type OwnWant = { -readonly [Field in keyof LedgerWant]: LedgerWant[Field] }

export class Ledger {
  readonly #wants = new Map<BlockKey, OwnWant>()
  /** Wants whose block can be sent, the most urgent last. */
  readonly #ready: OwnWant[] = []
  #readyBytes = 0
  #nextSequence = 0
  /** Bytes of blocks given to the network and not yet taken by the peer. */
  outstandingBytes = 0
  sentBytes = 0
  sentBlocks = 0

  get wantCount(): number {
    return this.#wants.size
  }

  /** Bytes of the blocks that can be sent. */
  get readyBytes(): number {
    return this.#readyBytes
  }

  get hasReady(): boolean {
    return this.#ready.length > 0
  }

  /** Takes the wants of one message; returns those that must be looked up in the store. */
  apply(entries: readonly WantEntry[], full: boolean): LedgerWant[] {
    if (full) this.clear()
    const fresh: LedgerWant[] = []
    for (const entry of entries) {
      const key = blockKey(entry.cid)
      if (entry.cancel) {
        this.settle(key)
        continue
      }
      const known = this.#wants.get(key)
      if (known !== undefined) {
        const isBeingLookedUp = known.size === undefined
        this.#unready(known)
        known.size = undefined
        known.priority = entry.priority
        // A want for the block outranks one for its presence.
        if (entry.wantType !== WANT_HAVE) known.wantType = entry.wantType
        known.sendDontHave ||= entry.sendDontHave
        if (!isBeingLookedUp) fresh.push(known)
        continue
      }
      if (this.#wants.size >= MAX_WANTS && !this.#evictFor(entry.priority)) continue
      const want: OwnWant = {
        key,
        cid: entry.cid,
        wantType: entry.wantType,
        priority: entry.priority,
        sendDontHave: entry.sendDontHave,
        sequence: this.#nextSequence++,
        size: undefined,
      }
      this.#wants.set(key, want)
      fresh.push(want)
    }
    return fresh.filter((want) => this.#wants.get(want.key) === want)
  }

  /** The want for this block, if it still stands. */
  get(key: BlockKey): LedgerWant | undefined {
    return this.#wants.get(key)
  }

  /** What the store says of a want that still stands: how many bytes its block has, or null. */
  located(key: BlockKey, size: number | null): void {
    const want = this.#wants.get(key)
    if (want === undefined) return
    this.#unready(want)
    want.size = size
    if (size === null) return
    this.#ready.splice(this.#placeOf(want), 0, want)
    this.#readyBytes += size
  }

  /** The want has been answered, or is none any more. */
  settle(key: BlockKey): void {
    const want = this.#wants.get(key)
    if (want === undefined) return
    this.#unready(want)
    this.#wants.delete(key)
  }

  /** Nothing is wanted any more. */
  clear(): void {
    this.#wants.clear()
    this.#ready.length = 0
    this.#readyBytes = 0
  }

  /** Wants whose block is here and can be sent, most urgent first, up to `maxBytes` but at least one. */
  takeReady(maxBytes: number): LedgerWant[] {
    const taken: LedgerWant[] = []
    let bytes = 0
    for (let want = this.#ready.at(-1); want !== undefined; want = this.#ready.at(-1)) {
      bytes += want.size ?? 0
      if (taken.length > 0 && bytes > maxBytes) break
      taken.push(want)
      this.settle(want.key)
    }
    return taken
  }

  #unready(want: OwnWant): void {
    const place = this.#placeOf(want)
    if (this.#ready[place] !== want) return
    this.#ready.splice(place, 1)
    this.#readyBytes -= want.size ?? 0
  }

  /** Where the want is in the queue, or would be. */
  #placeOf(want: OwnWant): number {
    let low = 0
    let high = this.#ready.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isSooner(this.#ready[middle]!, want)) high = middle
      else if (this.#ready[middle] === want) return middle
      else low = middle + 1
    }
    return low
  }

  #evictFor(priority: number): boolean {
    let lowest: LedgerWant | undefined
    for (const want of this.#wants.values()) {
      if (want.size === null) {
        this.settle(want.key)
        return true
      }
      if (lowest === undefined || want.priority < lowest.priority) lowest = want
    }
    if (lowest === undefined || lowest.priority >= priority) return false
    this.settle(lowest.key)
    return true
  }
}

function isSooner(a: LedgerWant, b: LedgerWant): boolean {
  return a.priority === b.priority ? a.sequence < b.sequence : a.priority > b.priority
}
