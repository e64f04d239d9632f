/** A fault at one call after the other of some jobs: what the campaigns that break one call have in common. */

import { join } from 'node:path'
import { mapBounded } from '../../../src/common/concurrency.ts'
import { buildIntercept, type CallName, type Fault } from '../calls/intercept.ts'
import type { Findings, Ground } from '../campaign.ts'
import { type PreparedJob, type PrepareJob, prepareJobs } from '../jobs/job.ts'
import { callsWithoutFault, type JobRun, runJob } from '../jobs/run-job.ts'

/** As many as the machines have cores that this is made for. */
export const RUNS_AT_ONCE = 2

/** A fault, and the calls that it is tried at. */
export interface FaultKind extends Pick<Fault, 'errno'> {
  counted: readonly CallName[]
}

export interface PointsOptions {
  name: string
  jobs: readonly PrepareJob[]
  kinds: readonly FaultKind[]
  /** What is wrong with a run in which the fault happened. */
  judge: (job: PreparedJob, run: JobRun, kind: FaultKind) => Promise<string[]>
}

/** Tries every point that the sample picks. */
export async function tryPoints(ground: Ground, { name, jobs, kinds, judge }: PointsOptions): Promise<Findings> {
  const { folder, sample } = ground
  const library = await buildIntercept(folder)
  const findings: Findings = { points: 0, violations: [], notes: [] }
  for (const job of await prepareJobs(ground, jobs)) {
    const calls = await callsWithoutFault(job, { library, folder: join(folder, 'whole') })
    const points = kinds.flatMap((kind) => {
      const count = calls.filter((call) => kind.counted.includes(call.name)).length
      return Array.from({ length: count }, (_, index) => ({ kind, at: index + 1 }))
    })
    const chosen = sample.pick(`${name} ${job.name}`, points)
    const pointsBefore = findings.points
    await mapBounded(chosen, RUNS_AT_ONCE, async ({ kind, at }) => {
      const { errno, counted } = kind
      const fault = { at, ...(errno && { errno }) }
      const place = join(folder, `at-${at}-${errno ?? 'killed'}`)
      await runJob(job, { library, folder: place, counted, fault }, async (run) => {
        if (run.fired === undefined) return
        findings.points++
        const problems = run.hung ? ['it does not end'] : await judge(job, run, kind)
        const { second: call, path } = run.fired
        const what = `${job.name}, ${errno ?? 'killed'} at call ${at} (${call} of ${path})`
        findings.violations.push(...problems.map((problem) => `${what}: ${problem}`))
      })
    })
    const hit = findings.points - pointsBefore
    findings.notes!.push(`${job.name}: ${calls.length} calls, ${hit} of ${chosen.length} points hit`)
  }
  return findings
}
