/** Running contenders side by side, in turns, and what a process of theirs has used. */

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { KiB, SECOND_MS } from '../../src/common/units.ts'
import { atExit } from '../support/clean-up.ts'
import type { Figure, Target } from './figures.ts'

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
  /** What ours has to reach beside it: `atLeast` so many times its speed, or `atMost` so many times its time. */
  target?: Target | undefined
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
  /** From process start to process end. @throws Error if it does not end with exit code 0 */
  finished: Promise<Sample>
}

export function startCommand({ command, args, env = process.env }: Command): RunningCommand {
  const startedAt = performance.now()
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const forget = atExit(() => child.kill('SIGKILL'))
  const endOfPeak = watchPeak(child.pid)
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdout.resume()
  const finished = new Promise<Sample>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      const seconds = (performance.now() - startedAt) / SECOND_MS
      const peakBytes = endOfPeak()
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

/** Watches the peak resident memory of a process. @returns a function that ends that and tells the peak in bytes */
export function watchPeak(pid: number | undefined): () => number | undefined {
  let peakBytes: number | undefined
  const watching = setInterval(() => {
    peakBytes = readPeak(pid) ?? peakBytes
  }, PEAK_INTERVAL_MS)
  return () => {
    clearInterval(watching)
    return peakBytes
  }
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
 * meets all of them alike. @returns the samples of each, the n-th of all from the same round
 */
export async function runInTurns(contenders: Contender[], runs: number): Promise<Sample[][]> {
  const samples: Sample[][] = contenders.map(() => [])
  for (let round = 0; round < runs; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const index = (round + turn) % contenders.length
      const contender = contenders[index]!
      await contender.prepare?.()
      samples[index]!.push(await contender.run())
      await contender.tidy?.()
    }
  }
  return samples
}

export interface ContestOptions {
  ours: Contender
  others: Contender[]
  runs: number
  /** How the time of a run is shown. */
  show: (seconds: number) => number
  unit: Figure['unit']
}

/**
 * Ours against each of the others. The ratio is the median of the ratios within each round, not the ratio of the medians.
 * It is one of speeds where ours is to be faster, one of times where it may take longer.
 */
export async function contest({ ours, others, runs, show, unit }: ContestOptions): Promise<Figure[]> {
  const [ourSamples = [], ...samplesOfOthers] = await runInTurns([ours, ...others], runs)
  const shown = (what: string, samples: Sample[]): Figure => {
    return { what, unit, values: samples.map(({ seconds }) => show(seconds)) }
  }
  const figures = [shown(ours.name, ourSamples)]
  const peaks = ourSamples.flatMap(({ peakBytes }) => peakBytes ?? [])
  if (peaks.length > 0) figures.push({ what: `${ours.name}, peak memory`, unit: 'size', values: peaks })
  for (const [i, { name, target }] of others.entries()) {
    const samples = samplesOfOthers[i] ?? []
    const isOfTimes = target === undefined ? unit === 'time' : 'atMost' in target
    const ratios = ourSamples.map(({ seconds }, round) => seconds / samples[round]!.seconds)
    figures.push(shown(name, samples), {
      what: `${ours.name} against ${name}: ${isOfTimes ? 'time' : 'speed'}`,
      unit: 'ratio',
      values: isOfTimes ? ratios : ratios.map((ratio) => 1 / ratio),
      target,
    })
  }
  return figures
}
