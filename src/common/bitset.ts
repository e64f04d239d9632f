/** A set of small whole numbers, one bit each; grows as needed. */
export class Bitset {
  #words = new Uint32Array(16)

  has(index: number): boolean {
    return ((this.#words[index >>> 5] ?? 0) & (1 << (index & 31))) !== 0
  }

  /** Returns true if the number was not in the set. */
  add(index: number): boolean {
    if (this.has(index)) return false
    const word = index >>> 5
    if (word >= this.#words.length) {
      const grown = new Uint32Array(Math.max(word + 1, 2 * this.#words.length))
      grown.set(this.#words)
      this.#words = grown
    }
    this.#words[word]! |= 1 << (index & 31)
    return true
  }

  /** Returns true if the number was in the set. */
  delete(index: number): boolean {
    if (!this.has(index)) return false
    this.#words[index >>> 5]! &= ~(1 << (index & 31))
    return true
  }

  clear(): void {
    this.#words.fill(0)
  }
}
