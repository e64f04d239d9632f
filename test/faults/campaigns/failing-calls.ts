/** One file call fails: the right error and exit code, nothing acknowledged that is not there, usable after. */

import { type CallName, CHANGING_CALLS, type Fault } from '../calls/intercept.ts'
import type { Campaign } from '../campaign.ts'
import { addInPlace, addToNewRepo } from '../jobs/add.ts'
import { getFolder } from '../jobs/get.ts'
import type { PreparedJob } from '../jobs/job.ts'
import type { JobRun } from '../jobs/run-job.ts'
import { tryPoints } from './points.ts'

type Errno = NonNullable<Fault['errno']>

const ERRNOS: readonly Errno[] = ['ENOSPC', 'EIO', 'EMFILE', 'EACCES']
const COUNTED: readonly CallName[] = ['open', 'read', ...CHANGING_CALLS]

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
      counted: COUNTED,
      faultsAt: (at) => ERRNOS.map((errno) => ({ at, errno })),
      judge,
    }),
}

async function judge(job: PreparedJob, run: JobRun, { errno }: Fault): Promise<string[]> {
  const { site, stdout, stderr, code, fired } = run
  const problems = await job.check(site, { code, stdout: stdout.toString() })
  const isSync = fired?.second === 'fsync' || fired?.second === 'fdatasync'
  const failed = errno === 'ENOSPC' ? DISK_FULL : IO
  // A call that is tried again, or that nothing hangs on, may fail without harm. No sync is of that kind.
  if (code !== failed && (code !== DONE || isSync)) problems.push(`exit code ${code}: ${stdout}${stderr}`)
  return problems
}
