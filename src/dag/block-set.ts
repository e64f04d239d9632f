/**
 * Which blocks have been seen, in as little memory as a walk over millions of nodes can have: 16 bytes of each digest.
 * To find two blocks that agree in them takes 2^64 tries.
 */

import type { CID } from 'multiformats/cid'

const WORDS = 4
const FIRST_SLOTS = 1024
const MAX_LOAD = 0.7

export class BlockSet {
  #slots = new Uint32Array(FIRST_SLOTS * WORDS)
  #size = 0

  get size(): number {
    return this.#size
  }

  has(cid: CID): boolean {
    return this.#find(wordsOf(cid)).isThere
  }

  /** False if the block was in it already. */
  add(cid: CID): boolean {
    const words = wordsOf(cid)
    const { at, isThere } = this.#find(words)
    if (isThere) return false
    this.#slots.set(words, at)
    if (++this.#size > (this.#slots.length / WORDS) * MAX_LOAD) this.#grow()
    return true
  }

  /** Where the words are, or could be. */
  #find(words: Uint32Array): { at: number; isThere: boolean } {
    const slots = this.#slots
    const mask = slots.length / WORDS - 1
    for (let slot = words[0]! & mask; ; slot = (slot + 1) & mask) {
      const at = slot * WORDS
      const isFree = slots[at] === 0 && slots[at + 1] === 0 && slots[at + 2] === 0 && slots[at + 3] === 0
      if (isFree) return { at, isThere: false }
      const isSame =
        slots[at] === words[0] && slots[at + 1] === words[1] && slots[at + 2] === words[2] && slots[at + 3] === words[3]
      if (isSame) return { at, isThere: true }
    }
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = new Uint32Array(old.length * 2)
    for (let at = 0; at < old.length; at += WORDS) {
      const words = old.subarray(at, at + WORDS)
      if (words.some((word) => word !== 0)) this.#slots.set(words, this.#find(words).at)
    }
  }
}

function wordsOf(cid: CID): Uint32Array {
  const words = new Uint32Array(WORDS)
  new Uint8Array(words.buffer).set(cid.multihash.digest.subarray(0, words.byteLength))
  return words
}
