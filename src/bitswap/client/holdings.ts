/**
 * What a session knows of the blocks that one peer has. A peer is taken to have everything until it lacks something;
 * from then on it is partial, and only what it says it has is asked of it, until it seems to have everything again.
 * Pure; blocks are known by the index of their want.
 */

import { Bitset } from '../../common/bitset.ts'

/** A partial peer that has so many blocks in a row by the time it is asked has all of them. */
const HITS_OF_A_COMPLETE_PEER = 32

export class Holdings {
  #partial = false
  #hitsInRow = 0
  readonly #has = new Bitset()
  readonly #probed = new Bitset()
  #probedCount = 0
  /** Wants from this index on have not been asked about. */
  nextProbe = 0

  get isPartial(): boolean {
    return this.#partial
  }

  /** Questions about single blocks that the peer has not answered with a yes, and so may answer later. */
  get probedCount(): number {
    return this.#probedCount
  }

  has(index: number): boolean {
    return this.#has.has(index)
  }

  /** The peer has the block. Returns true if that was not known. */
  gained(index: number): boolean {
    return this.#has.add(index)
  }

  /** The peer lacks the block. Returns true if it was thought to have it. */
  lost(index: number): boolean {
    return this.#has.delete(index)
  }

  probed(index: number): void {
    if (this.#probed.add(index)) this.#probedCount++
  }

  /** Nothing more is expected to the question about this block. Returns true if it stood. */
  endProbe(index: number): boolean {
    if (!this.#probed.delete(index)) return false
    this.#probedCount--
    return true
  }

  /** Forgets which questions stand, as when they may not have reached the peer. */
  forgetProbes(firstIndex: number): void {
    this.#probed.clear()
    this.#probedCount = 0
    this.nextProbe = firstIndex
  }

  /** The peer had the block when it was asked about it. Returns true if it is now taken to have everything. */
  hit(): boolean {
    if (!this.#partial || ++this.#hitsInRow < HITS_OF_A_COMPLETE_PEER) return false
    this.#partial = false
    return true
  }

  /** The peer lacked a block. Returns true if it was taken to have everything until now. */
  miss(firstIndex: number): boolean {
    this.#hitsInRow = 0
    if (this.#partial) return false
    this.#partial = true
    this.nextProbe = firstIndex
    return true
  }

  /** Forgets what single blocks it has. */
  forgetBlocks(): void {
    this.#has.clear()
  }
}
