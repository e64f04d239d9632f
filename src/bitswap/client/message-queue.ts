/**
 * Wants and cancels on their way to one peer: what is decided in one turn of the event loop leaves as one message, and
 * a want that is cancelled before it left is never sent.
 */

import type { CID } from 'multiformats/cid'
import { type BlockKey, blockKey } from '../../dag/cid.ts'
import { encodeWants, WANT_BLOCK, type WantEntry, type WantType } from '../message.ts'

/** Higher is sooner; all of ours are equally urgent, in the order in which they are sent. */
const PRIORITY = 1
const MAX_ENTRIES_PER_MESSAGE = 1024

export class MessageQueue {
  readonly #send: (message: Uint8Array) => void
  readonly #pending = new Map<BlockKey, WantEntry>()
  #scheduled = false

  constructor(send: (message: Uint8Array) => void) {
    this.#send = send
  }

  want(cid: CID, wantType: WantType = WANT_BLOCK): void {
    this.#add({ cid, cancel: false, wantType, priority: PRIORITY, sendDontHave: true })
  }

  cancel(cid: CID): void {
    if (this.#pending.get(blockKey(cid))?.cancel === false) this.#pending.delete(blockKey(cid))
    else this.#add({ cid, cancel: true, wantType: WANT_BLOCK, priority: PRIORITY, sendDontHave: false })
  }

  #add(entry: WantEntry): void {
    const key = blockKey(entry.cid)
    // A want after a cancel is another one: it must not be taken for the one that was cancelled.
    if (this.#pending.get(key)?.cancel === true && !entry.cancel) this.#flush()
    this.#pending.delete(key)
    this.#pending.set(key, entry)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    const entries = [...this.#pending.values()]
    this.#pending.clear()
    for (let at = 0; at < entries.length; at += MAX_ENTRIES_PER_MESSAGE) {
      this.#send(encodeWants(entries.slice(at, at + MAX_ENTRIES_PER_MESSAGE)))
    }
  }
}
