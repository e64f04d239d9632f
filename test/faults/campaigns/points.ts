/** A fault at one call after the other of some jobs: what the campaigns that break one call have in common. */

import { join } from 'node:path'
import { mapBounded } from '../../../src/common/concurrency.ts'
import { buildIntercept, type CallName, type Fault } from '../calls/intercept.ts'
import type { Findings, Ground } from '../campaign.ts'
import { type PreparedJob, type PrepareJob, prepareJobs } from '../jobs/job.ts'
import { countCalls, type JobRun, runJob } from '../jobs/run-job.ts'

/** As many as the machines have cores that this is made for. */
const RUNS_AT_ONCE = 2

export interface PointsOptions {
  name: string
  jobs: readonly PrepareJob[]
  counted: readonly CallName[]
  /** The faults that are tried at the call of this number. */
  faultsAt: (at: number) => Fault[]
  /** What is wrong with a run in which the fault happened. */
  judge: (job: PreparedJob, run: JobRun, fault: Fault) => Promise<string[]>
}

/** Tries every point that the sample picks. */
export async function tryPoints(ground: Ground, options: PointsOptions): Promise<Findings> {
  const { folder, sample } = ground
  const { name, jobs, counted, faultsAt, judge } = options
  const library = await buildIntercept(folder)
  const findings: Findings = { points: 0, violations: [], notes: [] }
  for (const job of await prepareJobs(ground, jobs)) {
    const calls = await countCalls(job, { library, folder: join(folder, 'whole'), counted })
    const faults = Array.from({ length: calls }, (_, index) => faultsAt(index + 1)).flat()
    const chosen = sample.pick(`${name} ${job.name}`, faults)
    const pointsBefore = findings.points
    await mapBounded(chosen, RUNS_AT_ONCE, async (fault) => {
      const place = join(folder, `at-${fault.at}-${fault.errno ?? 'killed'}`)
      await runJob(job, { library, folder: place, counted, fault }, async (run) => {
        if (run.fired === undefined) return
        findings.points++
        const problems = run.hung ? ['it does not end'] : await judge(job, run, fault)
        const { second: call, path } = run.fired
        const what = `${job.name}, ${fault.errno ?? 'killed'} at call ${fault.at} (${call} of ${path})`
        findings.violations.push(...problems.map((problem) => `${what}: ${problem}`))
      })
    })
    findings.notes!.push(
      `${job.name}: ${calls} calls, ${findings.points - pointsBefore} of ${chosen.length} points hit`,
    )
  }
  return findings
}
