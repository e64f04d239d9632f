/**
 * Tells whether it was the store that failed while a source is imported, which ends everything, or the source, which is
 * left out. Made by `node/operations/add.ts`, and put around everything that an import asks of the repo.
 */
export class Storing {
  #failed = false

  get hasFailed(): boolean {
    return this.#failed
  }

  async run<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write()
    } catch (error) {
      this.#failed = true
      throw error
    }
  }
}
