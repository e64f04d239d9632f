/** Pieces of work that are started one by one and end in any order, not too many of them at the same time. */

export class WorkPool {
  readonly #limit: number
  #running = 0
  #failure: { reason: unknown } | undefined
  /** Called at the next end of a piece of work. */
  #wake: (() => void) | undefined

  /** @param limit - pieces of work under way at the same time */
  constructor(limit: number) {
    this.#limit = limit
  }

  /**
   * Starts the work, once there is room for it. One caller at a time.
   *
   * @throws the first failure of work that was started before; then this one is not started
   */
  async start(work: () => Promise<void>): Promise<void> {
    await this.#until(this.#limit - 1)
    if (this.#failure !== undefined) throw this.#failure.reason
    this.#running++
    void this.#run(work)
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

  async #run(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (reason) {
      this.#failure ??= { reason }
    }
    this.#running--
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
