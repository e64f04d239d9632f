/**
 * One piece of work at a time per key, in the order asked for. Called by the stores, whose writes must not cross, and by
 * downloads to one target.
 */

import { type AbortOptions, raceAbort } from './abort.ts'

export class KeyedLock {
  readonly #last = new Map<string, Promise<void>>()

  /** Runs `work` once everything asked for earlier under `key` has ended, well or not. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#last.get(key) ?? Promise.resolve()).then(work)
    const ended = result.then(ignore, ignore)
    this.#last.set(key, ended)
    try {
      return await result
    } finally {
      if (this.#last.get(key) === ended) this.#last.delete(key)
    }
  }

  /** Whether work under `key` is under way. */
  isBusy(key: string): boolean {
    return this.#last.has(key)
  }

  /**
   * Waits until everything asked for earlier under `key` has ended.
   *
   * @returns a function that lets the next one go on
   * @throws the signal's reason if it aborts before
   */
  async take(key: string, { signal }: AbortOptions = {}): Promise<() => void> {
    let release!: () => void
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const turn = new Promise<void>((resolve) => {
      void this.run(key, async () => {
        resolve()
        await released
      })
    })
    try {
      await raceAbort(turn, { signal })
      return release
    } catch (error) {
      release()
      throw error
    }
  }
}

function ignore(): void {}
