/**
 * Many small requests as few large ones: what is asked for while one batch is under way makes up the next. Used where a
 * call costs much more than what is in it, as into the database or another thread.
 */

interface Pending<Item, Result> {
  item: Item
  resolve: (result: Result) => void
  reject: (reason: unknown) => void
}

export class Batcher<Item, Result> {
  readonly #run: (items: Item[]) => Promise<readonly Result[]>
  #pending: Pending<Item, Result>[] = []
  #running: Promise<void> | undefined

  /** @param run - gives one result per item, in their order; where it rejects, every item of the batch does */
  constructor(run: (items: Item[]) => Promise<readonly Result[]>) {
    this.#run = run
  }

  /** The result for this item, once the batch that it goes into is done. */
  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ item, resolve, reject })
      this.#running ??= this.#runAll()
    })
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#running
  }

  async #runAll(): Promise<void> {
    // What is asked for in the same turn goes together.
    await undefined
    while (this.#pending.length > 0) {
      const batch = this.#pending
      this.#pending = []
      try {
        const results = await this.#run(batch.map(({ item }) => item))
        for (const [index, { resolve }] of batch.entries()) resolve(results[index]!)
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.#running = undefined
  }
}
