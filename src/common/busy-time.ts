/** How long something has been going on, counted once however often it overlaps with itself. Pure. */

export class BusyTime {
  #running = 0
  #sinceMs = 0
  #totalMs = 0

  /** @param nowMs - milliseconds of a clock that only goes forward, here and in every method */
  begin(nowMs: number): void {
    if (this.#running++ === 0) this.#sinceMs = nowMs
  }

  end(nowMs: number): void {
    if (--this.#running === 0) this.#totalMs += nowMs - this.#sinceMs
  }

  /** Milliseconds so far. */
  totalMs(nowMs: number): number {
    return this.#totalMs + (this.#running > 0 ? nowMs - this.#sinceMs : 0)
  }
}
