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

const [DONE, FAILED, IO, DISK_FULL] = [0, 1, 6, 7]

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

async function judge(job: PreparedJob, { site, stdout, stderr, code, fired }: JobRun): Promise<string[]> {
  const problems = await job.check(site, { code, stdout: stdout.toString() })
  const isFull = fired !== undefined && stderr.includes('the disk is full')
  // A call that is tried again, or that nothing hangs on, may fail without harm.
  const allowed = isFull ? [DISK_FULL] : [DONE, IO]
  if (code === null || !allowed.includes(code)) problems.push(`exit code ${code}: ${stderr}`)
  if (code === FAILED) problems.push(stderr)
  return problems
}
