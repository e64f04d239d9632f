/**
 * Progress where nothing can be drawn over: a plain line per 10 % or 10 s, and one when the phase changes. What takes
 * less than a second says nothing.
 */

import { type Clock, systemClock } from '../common/clock.ts'
import { SECOND_MS } from '../common/units.ts'
import {
  fractionDone,
  type ProgressDisplay,
  phaseText,
  progressSentence,
  type TransferProgress,
} from './progress-lines.ts'

const QUIET_START_MS = SECOND_MS
const LINE_EVERY_MS = 10 * SECOND_MS
const LINE_EVERY_FRACTION = 0.1

export class PlainProgress implements ProgressDisplay {
  readonly #writeLine: (line: string) => void
  readonly #clock: Clock
  readonly #startedMs: number
  readonly #timer: NodeJS.Timeout
  #latest: TransferProgress | undefined
  #lastLineMs = 0
  #lastStep = 0
  #lastPhase: string | undefined

  constructor(writeLine: (line: string) => void, clock: Clock = systemClock) {
    this.#writeLine = writeLine
    this.#clock = clock
    this.#startedMs = clock.monotonicMs()
    // A wait without any event has its lines too.
    this.#timer = setInterval(() => {
      if (this.#latest !== undefined) this.update(this.#latest)
    }, SECOND_MS).unref()
  }

  update(event: TransferProgress): void {
    this.#latest = event
    const nowMs = this.#clock.monotonicMs()
    if (nowMs - this.#startedMs < QUIET_START_MS) return
    const step = Math.floor((fractionDone(event) ?? 0) / LINE_EVERY_FRACTION)
    const phase = phaseText(event)
    if (phase === this.#lastPhase && step <= this.#lastStep && nowMs - this.#lastLineMs < LINE_EVERY_MS) return
    this.#lastPhase = phase
    this.#lastStep = step
    this.#lastLineMs = nowMs
    this.#writeLine(progressSentence(event))
  }

  interrupt(write: () => void): void {
    write()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
