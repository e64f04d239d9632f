/** How fast a count goes up: over the last seconds, so that a stall shows, and an old burst does not. */

import { SECOND_MS } from './units.ts'

const WINDOW_MS = 5 * SECOND_MS

export class RateMeter {
  readonly #samples: { atMs: number; count: number }[] = []

  /** Forgets everything. */
  reset(): void {
    this.#samples.length = 0
  }

  /** Notes the count at a moment of the monotonic clock. @returns by how much it goes up a second */
  note(atMs: number, count: number): number {
    this.#samples.push({ atMs, count })
    while (this.#samples.length > 2 && atMs - this.#samples[0]!.atMs > WINDOW_MS) this.#samples.shift()
    const first = this.#samples[0]!
    return atMs > first.atMs ? ((count - first.count) / (atMs - first.atMs)) * SECOND_MS : 0
  }
}

/** Whole seconds until the total is reached at this rate, both in the same unit; null while that cannot be told. */
export function etaSeconds(count: number, total: number | null, perSecond: number): number | null {
  return total === null || perSecond === 0 ? null : Math.ceil((total - count) / perSecond)
}
