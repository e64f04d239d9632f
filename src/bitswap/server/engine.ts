/**
 * Who is served next, and with what: pure. Fair between peers by least outstanding bytes; bounded per peer and over all
 * peers. The driver (`server.ts`) looks blocks up, reads them and sends them.
 */

import { MiB } from '../../common/units.ts'
import type { BlockKey } from '../../dag/cid.ts'
import { type Presence, WANT_HAVE, type WantEntry } from '../message.ts'
import { Ledger, type LedgerWant } from './ledger.ts'

/** Blocks go into one message until it has so many bytes; a larger block goes alone. */
const TARGET_MESSAGE_BYTES = MiB
/** A second message is made ready while the first is on its way, no more. */
const MAX_OUTSTANDING_PER_PEER = 2 * MiB
/** Over all peers: what may lie in send buffers. */
const MAX_OUTSTANDING_BYTES = 64 * MiB
/** A small block is sent at once where only its presence was asked for, as boxo does. */
const HAVE_ANSWERED_BY_BLOCK_BYTES = 1024

/** What to read and send to one peer. */
export interface Serving {
  peerId: string
  wants: LedgerWant[]
  bytes: number
}

export interface Lookup {
  peerId: string
  wants: LedgerWant[]
}

export class Engine {
  readonly #ledgers = new Map<string, Ledger>()
  #outstandingBytes = 0

  get peerCount(): number {
    return this.#ledgers.size
  }

  ledgerOf(peerId: string): Ledger | undefined {
    return this.#ledgers.get(peerId)
  }

  /** Takes a peer's wants; the answer says what must be looked up. */
  receive(peerId: string, entries: readonly WantEntry[], full: boolean): Lookup {
    let ledger = this.#ledgers.get(peerId)
    if (ledger === undefined) {
      ledger = new Ledger()
      this.#ledgers.set(peerId, ledger)
    }
    return { peerId, wants: ledger.apply(entries, full) }
  }

  /** Whether the want is still to be answered: not cancelled, nor replaced, nor its peer gone. */
  stands(peerId: string, want: LedgerWant): boolean {
    return this.#ledgers.get(peerId)?.get(want.key) === want
  }

  /** What the store said about a want: its size, or null. Returns the presence to tell the peer, if any. */
  found(peerId: string, want: LedgerWant, size: number | null): Presence | undefined {
    const ledger = this.#ledgers.get(peerId)
    if (ledger === undefined || !this.stands(peerId, want)) return undefined
    // It has come in while the store was asked.
    if (size === null && typeof want.size === 'number') return undefined
    ledger.located(want.key, size)
    if (size === null) return want.sendDontHave ? { cid: want.cid, have: false } : undefined
    if (want.wantType !== WANT_HAVE || size <= HAVE_ANSWERED_BY_BLOCK_BYTES) return undefined
    ledger.settle(want.key)
    return { cid: want.cid, have: true }
  }

  /** The store could not say: the want is dropped without an answer, so that the peer's next one is looked up again. */
  notFoundOut(peerId: string, want: LedgerWant): void {
    if (this.stands(peerId, want)) this.#ledgers.get(peerId)?.settle(want.key)
  }

  /**
   * A block has come in. It can be sent now to those who wait for it; those who only asked whether it is here are to be
   * told.
   */
  blockArrived(key: BlockKey, size: number): { peerId: string; presence: Presence }[] {
    const told: { peerId: string; presence: Presence }[] = []
    for (const [peerId, ledger] of this.#ledgers) {
      const want = ledger.get(key)
      const presence = want === undefined ? undefined : this.found(peerId, want, size)
      if (presence !== undefined) told.push({ peerId, presence })
    }
    return told
  }

  /** The next message's worth of blocks for the peer that has least on its way, or undefined if none may be sent. */
  next(): Serving | undefined {
    if (this.#outstandingBytes >= MAX_OUTSTANDING_BYTES) return undefined
    let least: Ledger | undefined
    let leastPeer = ''
    for (const [peerId, ledger] of this.#ledgers) {
      if (ledger.outstandingBytes >= MAX_OUTSTANDING_PER_PEER) continue
      if (least !== undefined && ledger.outstandingBytes >= least.outstandingBytes) continue
      if (!isWorthAMessage(ledger)) continue
      least = ledger
      leastPeer = peerId
    }
    if (least === undefined) return undefined
    const wants = least.takeReady(TARGET_MESSAGE_BYTES)
    const bytes = wants.reduce((sum, { size }) => sum + (size ?? 0), 0)
    least.outstandingBytes += bytes
    this.#outstandingBytes += bytes
    // Peers are asked in turn when they have equally little outstanding.
    this.#ledgers.delete(leastPeer)
    this.#ledgers.set(leastPeer, least)
    return { peerId: leastPeer, wants, bytes }
  }

  /** What {@link next} gave has left, or failed to. */
  finished(serving: Serving, sentBytes: number, sentBlocks: number): void {
    this.#outstandingBytes -= serving.bytes
    const ledger = this.#ledgers.get(serving.peerId)
    if (ledger === undefined) return
    ledger.outstandingBytes = Math.max(0, ledger.outstandingBytes - serving.bytes)
    ledger.sentBytes += sentBytes
    ledger.sentBlocks += sentBlocks
  }

  /** The peer takes nothing: what it asked for is not sent any more. What is on its way still counts. */
  dropWants(peerId: string): void {
    this.#ledgers.get(peerId)?.clear()
  }

  forget(peerId: string): void {
    this.#ledgers.delete(peerId)
  }
}

/**
 * As Nagle's algorithm: less than a whole message goes out only while nothing else is on its way to the peer. Small
 * blocks that are asked for one by one so share messages, and nobody waits for a timer.
 */
function isWorthAMessage({ outstandingBytes, readyBytes, hasReady }: Ledger): boolean {
  return outstandingBytes === 0 ? hasReady : readyBytes >= TARGET_MESSAGE_BYTES
}
