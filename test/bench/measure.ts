/** Running contenders side by side: whole commands timed from process start to process end, in turns. */

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { KiB, SECOND_MS } from '../../src/common/units.ts'
import { atExit } from '../support/clean-up.ts'

/** How often the peak memory of a process is looked at; Linux keeps the peak, only its last growth can be missed. */
const PEAK_INTERVAL_MS = 25

export interface Sample {
  seconds: number
  /** Peak resident memory (VmHWM); undefined where the system does not tell. */
  peakBytes?: number | undefined
}

/** One way to do a job. Every run is: prepare (not timed), run (timed), tidy (not timed). */
export interface Contender {
  name: string
  prepare?(): Promise<void>
  run(): Promise<Sample>
  tidy?(): Promise<void>
}

export interface Command {
  command: string
  args: string[]
  env?: NodeJS.ProcessEnv
}

/** A command that runs, with its output on stderr collected for the message of a failure. */
export interface RunningCommand {
  process: ChildProcess
  /** @throws Error if it does not end with exit code 0 */
  finished: Promise<Sample>
}

export function startCommand({ command, args, env = process.env }: Command): RunningCommand {
  const startedAt = performance.now()
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const forget = atExit(() => child.kill('SIGKILL'))
  let peakBytes: number | undefined
  const watching = setInterval(() => {
    peakBytes = readPeak(child.pid) ?? peakBytes
  }, PEAK_INTERVAL_MS)
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdout.resume()
  const finished = new Promise<Sample>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      const seconds = (performance.now() - startedAt) / SECOND_MS
      clearInterval(watching)
      forget()
      if (code === 0) resolve({ seconds, peakBytes })
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}: ${stderr}`))
    })
  })
  return { process: child, finished }
}

/** Runs a command to its end. @throws Error if it does not end with exit code 0 */
export async function timeCommand(command: Command): Promise<Sample> {
  return await startCommand(command).finished
}

function readPeak(pid: number | undefined): number | undefined {
  try {
    const match = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return match?.[1] === undefined ? undefined : Number(match[1]) * KiB
  } catch {
    // It has ended, or the system has no /proc.
    return undefined
  }
}

/**
 * Every contender `runs` times, in turns, each round starting with the next one, so that whatever slows the machine
 * meets all of them alike. @returns the samples by name, the n-th of each from the same round
 */
export async function runInTurns(contenders: Contender[], runs: number): Promise<Map<string, Sample[]>> {
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round < runs; round++) {
    const first = round % contenders.length
    for (const contender of [...contenders.slice(first), ...contenders.slice(0, first)]) {
      await contender.prepare?.()
      samples.get(contender.name)?.push(await contender.run())
      await contender.tidy?.()
    }
  }
  return samples
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low = Number.NaN, high = Number.NaN] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]]
  return (low + high) / 2
}
