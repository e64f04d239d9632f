/** Programs of others that run beside a test, as a node of another implementation: ended with the scope, whatever happens. */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { MINUTE_MS } from '../../src/common/units.ts'
import { atExit, type CleanUpScope, cleanUpAfter } from './clean-up.ts'

/** A program that was told to end and has not after this time is killed. */
const STOP_LIMIT_MS = MINUTE_MS

export interface Background {
  child: ChildProcessWithoutNullStreams
  /** Resolves when the process has ended, with what it wrote to stderr; never rejects. */
  closed: Promise<string>
}

export interface BackgroundOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Tells the process to end. */
  stop: (child: ChildProcessWithoutNullStreams) => void
}

export function startBackground(
  scope: CleanUpScope,
  command: string,
  args: string[],
  { cwd, env, stop }: BackgroundOptions,
): Background {
  const child = spawn(command, args, { cwd, env })
  const forget = atExit(() => child.kill('SIGKILL'))
  // What the process no longer reads because it has ended shows as its end, not here.
  child.stdin.on('error', () => {})
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const closed = new Promise<string>((resolve) => {
    child.on('error', (error) => {
      stderr += error.message
    })
    child.on('close', () => resolve(stderr))
  })
  cleanUpAfter(scope, async () => {
    stop(child)
    const limit = setTimeout(() => {
      child.kill('SIGKILL')
      // A process of its own that it left behind may hold them open.
      child.stdout.destroy()
      child.stderr.destroy()
    }, STOP_LIMIT_MS)
    await closed
    clearTimeout(limit)
    forget()
  })
  return { child, closed }
}
