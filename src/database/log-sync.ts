/**
 * What a synced write of LevelDB leaves to be done: it syncs the newest of its logs alone. What was written shortly before
 * may lie in the one before that, until it has been made into tables, and the name of a new log may be lost with the
 * power. Used by `database.ts`.
 */

import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { errnoOf } from '../common/errors.ts'

export class LogSync {
  readonly #folder: string
  /** Logs whose name survives a power cut. */
  #named: ReadonlySet<string> = new Set()
  /** Logs that are written no more, and survive as they are. */
  #finished: ReadonlySet<string> = new Set()
  #failure: { reason: unknown } | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  /**
   * Call it after each synced write, and after opening, which begins a log and names it in others: when it returns, all
   * that was written before the call survives a power cut.
   */
  async settle(): Promise<void> {
    // The system may have dropped the bytes, and would report success the next time.
    if (this.#failure !== undefined) throw this.#failure.reason
    const logs = (await readdir(this.#folder)).filter((name) => name.endsWith('.log')).sort(byNumber)
    const older = logs.slice(0, -1)
    for (const log of older) if (!this.#finished.has(log)) await this.#sync(log)
    if (logs.some((log) => !this.#named.has(log))) await this.#sync('')
    this.#finished = new Set(older)
    this.#named = new Set(logs)
  }

  /** @param name - of a log, or empty for the folder itself */
  async #sync(name: string): Promise<void> {
    let handle: Awaited<ReturnType<typeof open>>
    try {
      handle = await open(join(this.#folder, name), 'r')
    } catch (error) {
      // It has become a table, which is synced.
      if (errnoOf(error) === 'ENOENT') return
      throw error
    }
    try {
      await handle.sync()
    } catch (reason) {
      this.#failure = { reason }
      throw reason
    } finally {
      await handle.close()
    }
  }
}

function byNumber(a: string, b: string): number {
  return Number.parseInt(a, 10) - Number.parseInt(b, 10)
}
