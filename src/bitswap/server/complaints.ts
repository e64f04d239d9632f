/** What goes wrong while peers are served. They choose what they ask for, so the same is told once in a while only. */

import type { Clock } from '../../common/clock.ts'
import { MINUTE_MS } from '../../common/units.ts'

const QUIET_MS = MINUTE_MS

export class Complaints {
  readonly #tell: (message: string) => void
  readonly #clock: Clock
  readonly #toldAt = new Map<string, number>()

  constructor(tell: (message: string) => void, clock: Clock) {
    this.#tell = tell
    this.#clock = clock
  }

  /** @param what - what failed, the same for all blocks; `which` and `why` are of the one that is told */
  add(what: string, which: string, why: string): void {
    const now = this.#clock.monotonicMs()
    const toldAt = this.#toldAt.get(what)
    if (toldAt !== undefined && now - toldAt < QUIET_MS) return
    this.#toldAt.set(what, now)
    this.#tell(`${what} ${which}: ${why}`)
  }
}
