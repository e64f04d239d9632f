/**
 * What was set last, bounded. Two generations, the older one dropped at once: to find its oldest entry a `Map` passes
 * over all that were deleted from it, which costs more with each.
 */
export class RecentMap<Key, Value> {
  readonly #limit: number
  #recent = new Map<Key, Value>()
  #older = new Map<Key, Value>()
  #weight = 0

  /** @param limit - the weight of what is kept at least; twice as much is kept at most */
  constructor(limit: number) {
    this.#limit = limit
  }

  has(key: Key): boolean {
    return this.#recent.has(key) || this.#older.has(key)
  }

  get(key: Key): Value | undefined {
    return this.#recent.has(key) ? this.#recent.get(key) : this.#older.get(key)
  }

  set(key: Key, value: Value, weight = 1): void {
    if (!this.#recent.has(key)) this.#weight += weight
    this.#recent.set(key, value)
    if (this.#weight < this.#limit) return
    this.#older = this.#recent
    this.#recent = new Map()
    this.#weight = 0
  }

  clear(): void {
    this.#recent = new Map()
    this.#older = new Map()
    this.#weight = 0
  }
}
