/**
 * When a store syncs: one sync after the other, so that each sees what the one before could not finish, and in the
 * background as soon as enough has gathered, so that the barrier finds little left. Used by `barrier.ts` and
 * `pack-store.ts`.
 */

export interface SyncNeed {
  /** Whether a sync is worth starting. */
  isEnough: () => boolean
  /** Whether the disk cannot keep up, so that whoever writes has to wait for it. */
  isTooMuch: () => boolean
}

export class SyncTurns {
  #last: Promise<void> = Promise.resolve()
  #background: Promise<void> | undefined

  /** Runs the work after what was begun before it. @throws what the work throws */
  async run(work: () => Promise<void>): Promise<void> {
    const result = this.#last.then(work)
    this.#last = result.catch(() => {})
    await result
  }

  /** Starts the work in the background if it is time, and none is under way. */
  async runIfNeeded({ isEnough, isTooMuch }: SyncNeed, work: () => Promise<void>): Promise<void> {
    while (isTooMuch() && this.#background !== undefined) await this.#background
    if (!isEnough() || this.#background !== undefined) return
    this.#background = this.run(work)
      // The barrier meets the same failure, and reports it.
      .catch(() => {})
      .finally(() => {
        this.#background = undefined
      })
  }
}
