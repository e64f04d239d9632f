/**
 * Entry of the command line. It alone reads the process, turns signals into one abort, prints how a command failed,
 * and exits.
 */

import '../common/node20.ts'
import { homedir } from 'node:os'
import { abortControllerForMany } from '../common/abort.ts'
import { asP2PError, localIoError, P2PError } from '../common/errors.ts'
import { SECOND_MS } from '../common/units.ts'
import type { Execute } from './declarations/declaration.ts'
import { EXIT_CODES, SIGNAL_EXIT_CODES } from './exit-codes.ts'
import type { Output } from './render.ts'
import { commandStdin } from './stdin.ts'

type EndCause = keyof typeof SIGNAL_EXIT_CODES | 'closed-stdout'

/** After a signal everything has this long to end; then the process leaves as it is. */
const STOP_DEADLINE_MS = 9.5 * SECOND_MS

const stop = abortControllerForMany()
let endedBy: EndCause | undefined

process.on('SIGINT', () => endBy('SIGINT'))
process.on('SIGTERM', () => endBy('SIGTERM'))
// There is nobody left to tell.
process.stderr.on('error', () => {})

// Whoever leaves in order exits by itself: here something is waited for that nothing keeps the process alive for.
process.once('beforeExit', () => process.exit(1))
void main(process.argv.slice(2))

async function main(argv: string[]): Promise<void> {
  const { createProgram, readGlobalFlags, helpExitCode, usageErrorFrom } = await import('./program.ts')
  let output: Output | undefined
  let exitCode = 0
  let leaving: Promise<never> | undefined

  const program = createProgram({
    run,
    writeOut: (text) => process.stdout.write(text),
    writeError: (text) => process.stderr.write(text),
  })
  process.on('uncaughtException', (error) => void leaveWith(error))
  // A reader that has seen enough, as in `p2p add … | head -1`, is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') endBy('closed-stdout')
    else void leaveWith(localIoError(error, 'write', 'stdout'))
  })

  try {
    await program.parseAsync(argv, { from: 'user' })
    await leave(exitCode)
  } catch (error) {
    const helpCode = helpExitCode(error)
    // Help that nobody asked for is an error, and scripts read that from stdout.
    if (helpCode === 0 || (helpCode !== undefined && !readGlobalFlags(program).json)) await leave(helpCode)
    await leaveWith(usageErrorFrom(error, program) ?? error)
  }

  async function run(execute: Execute): Promise<void> {
    output = await openOutput()
    const outcome = await execute({
      stdin: commandStdin,
      stdout: process.stdout,
      stderr: process.stderr,
      env: process.env,
      cwd: process.cwd(),
      home: homedir(),
      userId: process.getuid?.(),
      signal: stop.signal,
      flags: readGlobalFlags(program),
      output,
    })
    exitCode = output.finish(outcome)
  }

  async function openOutput(): Promise<Output> {
    const { Output } = await import('./render.ts')
    return new Output({
      stdout: process.stdout,
      stderr: process.stderr,
      flags: readGlobalFlags(program),
      isDumbTerminal: process.env.TERM === 'dumb',
    })
  }

  /** The first failure is the one that is told. */
  function leaveWith(error: unknown): Promise<never> {
    leaving ??= tellAndLeave(error)
    return leaving
  }

  async function tellAndLeave(error: unknown): Promise<never> {
    if (endedBy === 'closed-stdout') return await leave(0)
    // Once the user has ended it, whatever breaks on the way out is no news.
    const failure = endedBy === undefined ? asP2PError(error) : (stop.signal.reason as P2PError)
    const failureCode = endedBy === undefined ? EXIT_CODES[failure.code] : SIGNAL_EXIT_CODES[endedBy]
    output ??= await openOutput()
    output.fail(failure, failureCode)
    return await leave(failureCode)
  }
}

function endBy(cause: EndCause): void {
  const exitCode = cause === 'closed-stdout' ? 0 : SIGNAL_EXIT_CODES[cause]
  if (endedBy !== undefined) {
    if (cause !== 'closed-stdout') process.exit(exitCode)
    return
  }
  endedBy = cause
  setTimeout(() => {
    process.stderr.write('warning: it did not stop in time and is left as it is; nothing that was verified is lost.\n')
    process.exit(exitCode)
  }, STOP_DEADLINE_MS).unref()
  stop.abort(
    new P2PError('aborted', cause === 'closed-stdout' ? 'stdout was closed' : `Ended by ${cause}`, {
      hint: 'Run the same command again to go on; nothing that was verified is lost.',
    }),
  )
}

/** Exits once everything printed has been taken. */
async function leave(exitCode: number): Promise<never> {
  await Promise.all([flush(process.stdout), flush(process.stderr)])
  return process.exit(exitCode)
}

function flush(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed) resolve()
    else stream.write('', () => resolve())
  })
}
