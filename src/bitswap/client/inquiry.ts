/** What one peer says about blocks that nobody wants from it, only whether it has them. Pure; `session.ts` sends. */

import type { CID } from 'multiformats/cid'
import { type BlockKey, blockKey } from '../../dag/cid.ts'

export class Inquiry {
  readonly peerId: string
  readonly #answers = new Map<BlockKey, boolean | undefined>()
  readonly #onAnswered: () => void
  #unanswered: number

  /** @param onAnswered - called when the peer has answered for every block */
  constructor(peerId: string, cids: readonly CID[], onAnswered: () => void) {
    this.peerId = peerId
    for (const cid of cids) this.#answers.set(blockKey(cid), undefined)
    this.#unanswered = this.#answers.size
    this.#onAnswered = onAnswered
  }

  /** How many blocks the peer has said that it has. */
  get held(): number {
    let held = 0
    for (const has of this.#answers.values()) if (has === true) held++
    return held
  }

  /** The peer's answer, by word or by sending the block; only the first one counts. */
  answered(key: BlockKey, has: boolean): void {
    if (!this.#answers.has(key) || this.#answers.get(key) !== undefined) return
    this.#answers.set(key, has)
    this.#unanswered--
    if (this.#unanswered === 0) this.#onAnswered()
  }
}
