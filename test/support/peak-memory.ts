/** The most memory that a process of `p2p` has had resident. Linux keeps count of it, per program and without sampling. */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KiB } from '../../src/common/units.ts'
import type { CleanUpScope } from './clean-up.ts'
import { type FinishedP2p, type P2pOptions, runP2p } from './processes.ts'
import { makeTempDir } from './temp.ts'

/** Why it cannot be told here, or false. */
export const noPeakMemory = existsSync('/proc/self/status') ? false : 'the system does not tell the peak of memory'

/** Of a process that runs, until now. */
export function peakBytesOf(pid: number): number {
  return peakIn(readFileSync(`/proc/${pid}/status`, 'utf8'))
}

/** Runs `p2p` to its end; it notes its own state as its last act. */
export async function runForPeak(
  scope: CleanUpScope,
  args: string[],
  options: P2pOptions,
): Promise<FinishedP2p & { peakBytes: number }> {
  const status = join(await makeTempDir(scope), 'status')
  const program = `
    import { readFileSync, writeFileSync } from 'node:fs'
    process.on('exit', () => writeFileSync(${JSON.stringify(status)}, readFileSync('/proc/self/status')))`
  const env = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(program)}` }
  const finished = await runP2p(args, { ...options, env: { ...options.env, ...env } })
  return { ...finished, peakBytes: peakIn(readFileSync(status, 'utf8')) }
}

function peakIn(status: string): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * KiB
}
