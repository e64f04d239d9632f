/** Pieces of work that are started one by one and end in any order, not too many of them at the same time. */

export class WorkPool {
  readonly #limit: number
  #running = 0
  #failure: { reason: unknown } | undefined
  /** Called at the next end of a piece of work. */
  #wake: (() => void) | undefined

  /** @param limit - the weight of work under way at the same time */
  constructor(limit: number) {
    this.#limit = limit
  }

  /**
   * Starts the work, once there is room for it. One caller at a time.
   *
   * @param weight - how much of the limit it takes; default 1
   * @throws the first failure of work that was started before; then this one is not started
   */
  async start(work: () => Promise<void>, weight = 1): Promise<void> {
    await this.#until(this.#limit - weight)
    if (this.#failure !== undefined) throw this.#failure.reason
    this.#running += weight
    void this.#run(work, weight)
  }

  /** Waits until all has ended. @throws the first failure */
  async drain(): Promise<void> {
    await this.settle()
    if (this.#failure !== undefined) throw this.#failure.reason
  }

  /** Waits until all has ended, well or not. */
  async settle(): Promise<void> {
    await this.#until(0)
  }

  async #run(work: () => Promise<void>, weight: number): Promise<void> {
    try {
      await work()
    } catch (reason) {
      this.#failure ??= { reason }
    }
    this.#running -= weight
    this.#wake?.()
  }

  async #until(mostRunning: number): Promise<void> {
    while (this.#running > mostRunning) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
