/** What an operation that starts over has told already, and must not tell again. Used by `shared-api.ts`. */

export class Told {
  /** How often each has been told, and how often it has come up since the operation started over. */
  readonly #counts = new Map<string, { told: number; seen: number }>()
  #isLast = false

  /** @param attempt - `isLast` if the operation does not start over once more: what is new then is not remembered */
  startOver({ isLast }: { isLast: boolean }): void {
    this.#isLast = isLast
    for (const count of this.#counts.values()) count.seen = 0
  }

  /** @param keyOf - says what is told, as far as that is asked for */
  isNew(keyOf: () => string): boolean {
    if (this.#isLast && this.#counts.size === 0) return true
    const key = keyOf()
    const count = this.#counts.get(key) ?? { told: 0, seen: 0 }
    if (!this.#isLast) this.#counts.set(key, count)
    count.seen++
    if (count.seen <= count.told) return false
    count.told = count.seen
    return true
  }
}
