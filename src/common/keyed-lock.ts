/** One piece of work at a time per key, in the order asked for. Called by the stores, whose writes must not cross. */

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
}

function ignore(): void {}
