/**
 * Everything that is printed while a command runs and when it ends. Results go to stdout: text, or with `--json` one
 * event a line. All else goes to stderr, and with `--json` becomes events as well. Made by `main.ts`, used by commands.
 */

import { styleText } from 'node:util'
import { messageOf, type P2PError } from '../common/errors.ts'
import type { OnProgress } from '../common/progress.ts'
import { escapeForTerminal } from '../files/safe-name.ts'
import { EXIT_CODES } from './exit-codes.ts'
import type { GlobalFlags } from './flags.ts'
import { JsonProgress } from './json-progress.ts'
import type { Outcome } from './outcome.ts'
import { PlainProgress } from './plain-progress.ts'
import type { ProgressDisplay } from './progress-lines.ts'
import { type OutputStream, TerminalProgress } from './terminal-progress.ts'

export interface OutputOptions {
  stdout: OutputStream
  stderr: OutputStream
  flags: Pick<GlobalFlags, 'json' | 'quiet' | 'verbose' | 'progress' | 'color'>
  /** True if the terminal cannot move its cursor (`TERM=dumb`). */
  isDumbTerminal: boolean
}

/** The version of the JSON events. Fields may be added; none changes its meaning. */
const EVENT_VERSION = 1

type TextStyle = Parameters<typeof styleText>[0]

export class Output {
  readonly #stdout: OutputStream
  readonly #stderr: OutputStream
  readonly #flags: OutputOptions['flags']
  #progress: ProgressDisplay | undefined

  constructor({ stdout, stderr, flags, isDumbTerminal }: OutputOptions) {
    this.#stdout = stdout
    this.#stderr = stderr
    this.#flags = flags
    this.#progress = this.#chooseProgress(isDumbTerminal)
  }

  /** To be passed to operations. */
  readonly onProgress: OnProgress = (event) => {
    if (event.type === 'note') {
      const { json, verbose } = this.#flags
      if (!event.isDetail || verbose || json) this.say(event.message)
    } else if (event.type === 'warning') this.warn(event.message)
    else this.#progress?.update(event)
  }

  /** A line of the result, on stdout. With `--json` the same fact must be an {@link event}. */
  resultLine(text: string): void {
    if (!this.#flags.json) this.#above(() => this.#stdout.write(`${escapeForTerminal(text)}\n`))
  }

  /** Resolves when stdout can take more, for results of any number of lines. */
  async taken(): Promise<void> {
    const stdout = this.#stdout
    if (stdout.writableNeedDrain !== true) return
    await new Promise<void>((resolve) => {
      stdout.once('drain', resolve)
      stdout.once('close', resolve)
    })
  }

  /** A JSON event on stdout; nothing without `--json`. */
  event(type: string, fields: Record<string, unknown>): void {
    if (!this.#flags.json) return
    this.#stdout.write(`${JSON.stringify({ v: EVENT_VERSION, type, ts: new Date().toISOString(), ...fields })}\n`)
  }

  /** A fact on stderr that `--quiet` leaves out. */
  say(message: string): void {
    if (this.#flags.json) this.event('note', { message })
    else if (!this.#flags.quiet) this.#line(escapeForTerminal(message))
  }

  warn(message: string): void {
    if (this.#flags.json) this.event('warning', { message })
    else this.#line(`${this.#style('yellow', 'warning:')} ${escapeForTerminal(message)}`)
  }

  /** What progress was shown of is done; the command goes on without any. */
  endProgress(): void {
    this.#progress?.stop()
    this.#progress = undefined
  }

  /** Prints how the command ended, and nothing after it. Returns the exit code. */
  finish({ result, summary, problems = [], failure }: Outcome): number {
    this.endProgress()
    const exitCode = failure === undefined ? 0 : EXIT_CODES[failure.code]
    if (this.#flags.json) {
      const failed = failure === undefined ? {} : { code: failure.code, message: failure.message }
      this.event('result', { exitCode, ...failed, ...result })
      return exitCode
    }
    for (const line of summary) this.say(line)
    for (const problem of problems) this.warn(problem)
    if (failure !== undefined) this.#explain(failure)
    return exitCode
  }

  /** Prints why the command failed, and nothing after it. */
  fail(error: P2PError, exitCode: number): void {
    this.endProgress()
    if (this.#flags.json) {
      const { code, message, hint = null } = error
      this.event('error', { code, message, hint, exitCode })
      return
    }
    this.#explain(error)
  }

  #explain(error: P2PError): void {
    this.#line(`${this.#style('red', 'error:')} ${escapeForTerminal(error.message)}`)
    if (error.hint !== undefined) this.#line(`${this.#style('bold', 'hint:')} ${escapeForTerminal(error.hint)}`)
    if (!this.#flags.verbose) return
    for (let cause = error.cause; cause !== undefined; cause = (cause as Error).cause) {
      const text = cause instanceof Error ? (cause.stack ?? cause.message) : messageOf(cause)
      for (const line of `cause: ${text}`.split('\n')) this.#line(escapeForTerminal(line))
      if (!(cause instanceof Error)) break
    }
  }

  #line(text: string): void {
    this.#above(() => this.#stderr.write(`${text}\n`))
  }

  #above(write: () => void): void {
    if (this.#progress === undefined) write()
    else this.#progress.interrupt(write)
  }

  #style(style: TextStyle, text: string): string {
    return this.#flags.color ? styleText(style, text, { stream: this.#stderr }) : text
  }

  #chooseProgress(isDumbTerminal: boolean): ProgressDisplay | undefined {
    const { json, quiet, progress } = this.#flags
    if (!progress) return undefined
    if (json) return new JsonProgress(({ type, ...fields }) => this.event(type, fields))
    if (quiet) return undefined
    if (this.#stderr.isTTY !== true || isDumbTerminal) {
      return new PlainProgress((line) => this.#stderr.write(`${escapeForTerminal(line)}\n`))
    }
    const style = (text: string) => this.#style('dim', text)
    // By the flag, NO_COLOR and what the terminal can do.
    const color = style(' ') !== ' '
    return new TerminalProgress(this.#stderr, { makeSafe: escapeForTerminal, style, color })
  }
}
