/**
 * Wants that nobody is asked for, in the order in which they are to be assigned: first those that no partial peer has,
 * since the peers that have everything are best used for them, then the others, the rarest first. Pure.
 */

import type { Want } from './plan-records.ts'

/** Asked of a peer that failed, own turn; next in turn, all other turns. */
const OWN_LEVELS = 2
const RARE_LEVELS = OWN_LEVELS + 2
/** Asked of a peer that failed, one copy, two, more. */
const OFFERED_LEVELS = 4
const LEVELS = RARE_LEVELS + OFFERED_LEVELS

/** No partial peer has it and it is this session's turn, or that of others first; or some partial peer has it. */
export type WantKind = 'own' | 'others' | 'offered'

export class Backlog {
  readonly #levels: Set<Want>[] = Array.from({ length: LEVELS }, () => new Set())
  #size = 0

  get size(): number {
    return this.#size
  }

  /**
   * Puts a want in its place, or moves it there.
   *
   * @param turn - how many others come first for it, see `rendezvous.ts`
   */
  put(want: Want, turn: number): void {
    const level =
      want.copies > 0
        ? RARE_LEVELS + (want.urgent ? 0 : Math.min(want.copies, OFFERED_LEVELS - 1))
        : want.urgent
          ? 0
          : Math.min(1 + turn, RARE_LEVELS - 1)
    if (want.level === level) return
    this.remove(want)
    want.level = level
    this.#levels[level]!.add(want)
    this.#size++
  }

  remove(want: Want): void {
    if (want.level === undefined) return
    this.#levels[want.level]!.delete(want)
    want.level = undefined
    this.#size--
  }

  /** The wants level by level; wants may be put and removed meanwhile. */
  *levels(): Iterable<{ kind: WantKind; wants: Iterable<Want> }> {
    for (const [level, wants] of this.#levels.entries()) {
      yield { kind: level < OWN_LEVELS ? 'own' : level < RARE_LEVELS ? 'others' : 'offered', wants }
    }
  }

  /** Those that no partial peer has. */
  *rare(): Iterable<Want> {
    for (let level = 0; level < RARE_LEVELS; level++) yield* [...this.#levels[level]!]
  }
}
