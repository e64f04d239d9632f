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
  key: BlockKey
  cid: CID
  wantType: WantType
  priority: number
  sendDontHave: boolean
  /** Bytes of the block; undefined while it is not known whether we have it, null if we do not. */
  size: number | null | undefined
}

export class Ledger {
  readonly #wants = new Map<BlockKey, LedgerWant>()
  /** Bytes of blocks given to the network and not yet taken by the peer. */
  outstandingBytes = 0
  sentBytes = 0
  sentBlocks = 0

  get wantCount(): number {
    return this.#wants.size
  }

  /** Takes the wants of one message; returns those that must be looked up in the store. */
  apply(entries: readonly WantEntry[], full: boolean): LedgerWant[] {
    if (full) this.#wants.clear()
    const fresh: LedgerWant[] = []
    for (const entry of entries) {
      const key = blockKey(entry.cid)
      if (entry.cancel) {
        this.#wants.delete(key)
        continue
      }
      const known = this.#wants.get(key)
      if (known !== undefined) {
        known.priority = entry.priority
        // A want for the block outranks one for its presence.
        if (entry.wantType !== WANT_HAVE) known.wantType = entry.wantType
        known.sendDontHave ||= entry.sendDontHave
        if (known.size === undefined) continue
        known.size = undefined
        fresh.push(known)
        continue
      }
      if (this.#wants.size >= MAX_WANTS && !this.#evictFor(entry.priority)) continue
      const want: LedgerWant = {
        key,
        cid: entry.cid,
        wantType: entry.wantType,
        priority: entry.priority,
        sendDontHave: entry.sendDontHave,
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

  /** The want has been answered. */
  settle(key: BlockKey): void {
    this.#wants.delete(key)
  }

  /** Wants whose block is here and can be sent, most urgent first, up to `maxBytes` but at least one. */
  takeReady(maxBytes: number): LedgerWant[] {
    const ready = [...this.#wants.values()].filter(({ size }) => typeof size === 'number')
    ready.sort((a, b) => b.priority - a.priority)
    const taken: LedgerWant[] = []
    let bytes = 0
    for (const want of ready) {
      if (taken.length > 0 && bytes + (want.size ?? 0) > maxBytes) break
      bytes += want.size ?? 0
      taken.push(want)
      this.#wants.delete(want.key)
    }
    return taken
  }

  /** Whether anything can be sent, and how much in all. */
  readyBytes(): number {
    let bytes = 0
    for (const { size } of this.#wants.values()) bytes += size ?? 0
    return bytes
  }

  hasReady(): boolean {
    for (const { size } of this.#wants.values()) if (typeof size === 'number') return true
    return false
  }

  #evictFor(priority: number): boolean {
    let lowest: LedgerWant | undefined
    for (const want of this.#wants.values()) {
      if (want.size === null) {
        this.#wants.delete(want.key)
        return true
      }
      if (lowest === undefined || want.priority < lowest.priority) lowest = want
    }
    if (lowest === undefined || lowest.priority >= priority) return false
    this.#wants.delete(lowest.key)
    return true
  }
}
