/**
 * Progress on a terminal: a spinner while the total is not known, else several lines that are drawn over each other.
 * Events only leave the latest state; one timer draws. Owned by the output (`render.ts`).
 */

import type { Writable } from 'node:stream'
import type { Ora } from 'ora'
import {
  fractionDone,
  type ProgressDisplay,
  progressLines,
  progressSentence,
  type TransferProgress,
} from './progress-lines.ts'

const REDRAW_MS = 100
const DEFAULT_COLUMNS = 80
const DEFAULT_ROWS = 24

/** Control Sequence Introducer. @see https://www.xfree86.org/current/ctlseqs.html */
const CSI = '\u001b['
const CLEAR_TO_END_OF_LINE = `${CSI}K`
const CLEAR_TO_END_OF_SCREEN = `${CSI}J`

/** stdout or stderr; with a size if it is a terminal. */
export type OutputStream = Writable & { isTTY?: boolean; columns?: number; rows?: number }

export interface TerminalProgressOptions {
  /** Makes text from peers harmless. */
  makeSafe: (text: string) => string
  /** For the lines below the first. */
  style: (text: string) => string
  color: boolean
}

export class TerminalProgress implements ProgressDisplay {
  readonly #stream: OutputStream
  readonly #makeSafe: (text: string) => string
  readonly #style: (text: string) => string
  readonly #color: boolean
  #latest: TransferProgress | undefined
  #timer: NodeJS.Timeout | undefined
  #drawn: string[] = []
  #spinner: Ora | undefined
  #spinnerIsLoading = false
  #stopped = false

  constructor(stream: OutputStream, { makeSafe, style, color }: TerminalProgressOptions) {
    this.#stream = stream
    this.#makeSafe = makeSafe
    this.#style = style
    this.#color = color
  }

  update(event: TransferProgress): void {
    if (this.#stopped) return
    this.#latest = event
    this.#timer ??= setInterval(() => this.#draw(), REDRAW_MS).unref()
  }

  interrupt(write: () => void): void {
    this.#erase()
    write()
  }

  stop(): void {
    this.#stopped = true
    clearInterval(this.#timer)
    this.#erase()
  }

  #draw(): void {
    const event = this.#latest
    if (event === undefined) return
    // The spinner divides by the width.
    if (fractionDone(event) === undefined && this.#stream.columns !== 0) {
      this.#spin(this.#makeSafe(progressSentence(event)))
      return
    }
    if (this.#spinner?.isSpinning === true) this.#spinner.stop()
    // A terminal that does not know its size says 0.
    const { columns, rows } = this.#stream
    const size = { columns: columns || DEFAULT_COLUMNS, rows: rows || DEFAULT_ROWS }
    this.#paint(progressLines(event, size).map(this.#makeSafe))
  }

  #spin(text: string): void {
    if (this.#spinner !== undefined) {
      this.#spinner.text = text
      if (this.#spinner.isSpinning) return
      this.#erase()
      this.#spinner.start()
    } else if (!this.#spinnerIsLoading) {
      this.#spinnerIsLoading = true
      void this.#loadSpinner()
    }
  }

  /** The next tick of the timer shows it, if a spinner is still what is wanted. */
  async #loadSpinner(): Promise<void> {
    const { default: ora } = await import('ora')
    const color = this.#color ? 'cyan' : false
    this.#spinner = ora({ stream: this.#stream, discardStdin: false, isEnabled: true, color })
  }

  #paint(lines: string[]): void {
    if (lines.length === this.#drawn.length && lines.every((line, index) => line === this.#drawn[index])) return
    const body = lines.map((line, index) => `${index === 0 ? line : this.#style(line)}${CLEAR_TO_END_OF_LINE}\n`)
    this.#stream.write(`${this.#backToTop()}${body.join('')}${CLEAR_TO_END_OF_SCREEN}`)
    this.#drawn = lines
  }

  #erase(): void {
    if (this.#spinner?.isSpinning === true) this.#spinner.stop()
    if (this.#drawn.length === 0) return
    this.#stream.write(`${this.#backToTop()}${CLEAR_TO_END_OF_SCREEN}`)
    this.#drawn = []
  }

  #backToTop(): string {
    return this.#drawn.length === 0 ? '' : `${CSI}${this.#drawn.length}A\r`
  }
}
