/** Memory that V8 holds on to though nothing in it is used. */

import { MiB } from './units.ts'

/** So much outside of the heap makes V8 begin to look through all of it. */
const PRESSURE_BYTES = 64 * MiB

/**
 * Has V8 collect its whole heap soon, in steps. Left alone, a process whose garbage comes slowly does so only once it has
 * grown by tens of megabytes.
 */
export function collectGarbageSoon(): void {
  try {
    // Nobody touches it, so it takes up no memory; but V8 counts it.
    void new ArrayBuffer(PRESSURE_BYTES)
  } catch {
    // Where that much cannot be had, V8 is collecting already.
  }
}

/** Collects once in so many steps of what leaves garbage behind. */
export class GarbageRounds {
  readonly #stepsEach: number
  #steps = 0

  constructor(stepsEach: number) {
    this.#stepsEach = stepsEach
  }

  step(): void {
    this.#steps++
    if (this.#steps % this.#stepsEach === 0) collectGarbageSoon()
  }
}
