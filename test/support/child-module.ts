/** Small programs over our modules in processes of their own: for locks, crashes, and what a tracer sees. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { atExit, type CleanUpScope, cleanUpAfter } from './clean-up.ts'

export interface ChildModuleOptions {
  /** What `argument` is in the program: anything JSON can carry. */
  argument: unknown
  /** A command in front of Node's own, as in `['strace', '-f']`. */
  prefix?: string[]
  env?: Record<string, string>
}

/**
 * Starts `program`, the text of a module in which `argument` is set and `load(path)` imports a module by its path below
 * `src/`, without extension. It is killed, if it still runs, when the scope ends.
 */
export function startChildModule(
  scope: CleanUpScope,
  program: string,
  { argument, prefix = [], env = {} }: ChildModuleOptions,
): ChildProcess {
  const sources = new URL('../../src/', import.meta.url)
  const text = `
    const argument = ${JSON.stringify(argument)}
    const load = (path) => import(new URL(path + '.js', ${JSON.stringify(sources.href)}))
    ${program}`
  // Run from the folder of this file, so that packages resolve as they do here.
  const cwd = fileURLToPath(new URL('.', import.meta.url))
  const command = [...prefix, process.execPath, '--input-type=module', '--eval', text]
  const child = spawn(command[0]!, command.slice(1), {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  const forget = atExit(() => child.kill('SIGKILL'))
  cleanUpAfter(scope, async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await ended
    forget()
  })
  return child
}

/** Runs `program` to its end. @returns what it wrote to stdout; @throws if it fails */
export async function runChildModule(
  scope: CleanUpScope,
  program: string,
  options: ChildModuleOptions,
): Promise<string> {
  const child = startChildModule(scope, program, options)
  const chunks: Buffer[] = []
  child.stdout!.on('data', (chunk: Buffer) => chunks.push(chunk))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  const output = Buffer.concat(chunks).toString()
  if (code !== 0) throw new Error(`the program ended with ${code ?? signal}: ${output}`)
  return output
}

/** Whether a command is there and works, for tests that need it. */
export function canRun(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}
