/** The blocks that were last wanted or had, so many at most. */

import type { BlockKey } from '../../dag/cid.ts'

export class RecentKeys {
  readonly #keys = new Set<BlockKey>()
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  has(key: BlockKey): boolean {
    return this.#keys.has(key)
  }

  /** @param mustKeep - keys that are not forgotten, however old */
  add(key: BlockKey, mustKeep: { has(key: BlockKey): boolean } = NONE): void {
    this.#keys.delete(key)
    this.#keys.add(key)
    if (this.#keys.size <= this.#limit) return
    for (const oldest of this.#keys) {
      if (mustKeep.has(oldest)) continue
      this.#keys.delete(oldest)
      return
    }
  }
}

const NONE = new Set<BlockKey>()
