/** One file call fails: the right error and exit code, nothing acknowledged that is not there, usable after. */

import { type CallName, CHANGING_CALLS } from '../calls/intercept.ts'
import type { Campaign } from '../campaign.ts'
import { addInPlace, addToNewRepo } from '../jobs/add.ts'
import { getFolder } from '../jobs/get.ts'
import type { PreparedJob } from '../jobs/job.ts'
import type { JobRun } from '../jobs/run-job.ts'
import { type FaultKind, tryPoints } from './points.ts'

const NAMING: readonly CallName[] = ['create', 'mkdir', 'rename', 'link', 'symlink', 'unlink']

const KINDS: readonly FaultKind[] = [
  { errno: 'ENOSPC', counted: CHANGING_CALLS.filter((name) => name !== 'unlink') },
  { errno: 'EIO', counted: ['open', 'read', ...CHANGING_CALLS] },
  { errno: 'EMFILE', counted: ['open', 'create'] },
  { errno: 'EACCES', counted: ['open', ...NAMING] },
]

/** Exit codes. */
const DONE = 0
const IO = 6
const DISK_FULL = 7

export const failingCalls: Campaign = {
  name: 'failing-calls',
  title: 'ENOSPC, EIO, EMFILE, EACCES at the N-th call: the right exit code, nothing false acknowledged, usable after',
  atLeast: 500,
  run: (ground) =>
    tryPoints(ground, {
      name: 'failing-calls',
      jobs: [addToNewRepo, addInPlace, getFolder],
      kinds: KINDS,
      judge,
    }),
}

async function judge(job: PreparedJob, run: JobRun, { errno }: FaultKind): Promise<string[]> {
  const { site, stdout, stderr, code, fired } = run
  const problems = await job.check(site, { code, stdout: stdout.toString() })
  const isSync = fired?.second === 'fsync' || fired?.second === 'fdatasync'
  const failed = errno === 'ENOSPC' ? DISK_FULL : IO
  // A call that is tried again, or that nothing hangs on, may fail without harm. No sync is of that kind.
  if (code !== failed && (code !== DONE || isSync)) problems.push(`exit code ${code}: ${lastLine(stdout)} ${stderr}`)
  return problems
}

function lastLine(output: Buffer): string {
  return output.toString().trimEnd().split('\n').at(-1) ?? ''
}
