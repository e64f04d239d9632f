/**
 * Progress for programs: the latest event on a steady beat, which keeps to at least one a second and at most four,
 * however often or seldom the operation reports.
 */

import type { ProgressDisplay, TransferProgress } from './progress-lines.ts'

/** Two a second and a half: with the first and the last event no second has more than four. */
const BEAT_MS = 400

export class JsonProgress implements ProgressDisplay {
  readonly #write: (event: TransferProgress) => void
  #latest: TransferProgress | undefined
  #latestIsWritten = false
  #timer: NodeJS.Timeout | undefined

  constructor(write: (event: TransferProgress) => void) {
    this.#write = write
  }

  update(event: TransferProgress): void {
    this.#latest = event
    this.#latestIsWritten = false
    if (this.#timer !== undefined) return
    this.#timer = setInterval(() => this.#beat(), BEAT_MS).unref()
    this.#beat()
  }

  interrupt(write: () => void): void {
    write()
  }

  stop(): void {
    clearInterval(this.#timer)
    if (!this.#latestIsWritten) this.#beat()
  }

  #beat(): void {
    if (this.#latest === undefined) return
    this.#latestIsWritten = true
    this.#write(this.#latest)
  }
}
