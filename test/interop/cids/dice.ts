/** Choices that are the same for the same seed. */

import { randomChunks } from '../../support/bytes.ts'

const REFILL_BYTES = 64 * 1024

export class Dice {
  readonly #seed: string
  #refills = 0
  #bytes: Buffer = Buffer.alloc(0)
  #at = 0

  constructor(seed: string) {
    this.#seed = seed
  }

  /** A whole number from `least` to `most`, both included. */
  number(least: number, most: number): number {
    return least + (this.#next() % (most - least + 1))
  }

  /** True once in so many times. */
  once(inTimes: number): boolean {
    return this.number(1, inTimes) === 1
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.number(0, choices.length - 1)]!
  }

  /** Content that has not been given out before. */
  content(byteCount: number): Buffer {
    return Buffer.concat([...randomChunks(`${this.#seed} content ${this.#refills++}`, byteCount)], byteCount)
  }

  #next(): number {
    if (this.#at + 4 > this.#bytes.length) {
      this.#bytes = this.content(REFILL_BYTES)
      this.#at = 0
    }
    this.#at += 4
    return this.#bytes.readUInt32LE(this.#at - 4)
  }
}
