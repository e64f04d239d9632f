/**
 * The power goes at any moment: after each recorded call, what a disk may have kept of it is put on a real one and
 * looked at. The replayer has to prove itself as well: with one sync taken out of the record it must find a loss.
 */

import { access, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { makeTempDir } from '../../support/temp.ts'
import { buildIntercept, type SystemCall } from '../calls/intercept.ts'
import type { Campaign, Findings } from '../campaign.ts'
import { addInPlace, addToNewRepo, addToUsedRepo } from '../jobs/add.ts'
import { getFolder, getOverOther, getPinned } from '../jobs/get.ts'
import { makeSite, type PreparedJob, prepareJobs, type Site } from '../jobs/job.ts'
import { runJob } from '../jobs/run-job.ts'
import {
  CONTENT_LOSSES,
  ENTRY_LOSSES,
  fingerprint,
  type Loss,
  materialise,
  stateAfter,
} from '../power-loss/crash-state.ts'
import { Disk } from '../power-loss/disk.ts'
import type { Sample } from '../sample.ts'

const JOBS = [addToNewRepo, addToUsedRepo, addInPlace, getFolder, getPinned, getOverOther]

/** A job that was recorded. Its site's path is in what it wrote, so that every state stands there. */
interface Recording {
  job: PreparedJob
  site: Site
  calls: SystemCall[]
}

export const powerLoss: Campaign = {
  name: 'power-loss',
  title:
    'the power goes: unsynced data lost, torn, zeroed or mixed, names lost or mixed; what was acknowledged is there',
  atLeast: 2000,
  run: async (ground) => {
    const library = await buildIntercept(ground.folder)
    const findings: Findings = { points: 0, violations: [], notes: [] }
    const place = await makeTempDir(ground.scope, await fastFolder())
    for (const job of await prepareJobs(ground, JOBS)) {
      const recording = await record(job, { library, folder: join(place, 'site') })
      const { states, violations } = await replay(recording, ground.sample)
      findings.points += states
      findings.violations.push(...violations)
      findings.notes!.push(`${job.name}: ${recording.calls.length} calls, ${states} states`)
    }
    return findings
  },
}

/** In memory, where the system has such a place: the states need not survive anything. */
async function fastFolder(): Promise<string | undefined> {
  const inMemory = '/dev/shm'
  return await access(inMemory).then(
    () => inMemory,
    () => undefined,
  )
}

export async function record(
  job: PreparedJob,
  { library, folder }: { library: string; folder: string },
): Promise<Recording> {
  return await runJob(job, { library, folder, withData: true }, async ({ site, calls, code, stderr }) => {
    if (code !== 0) throw new Error(`${job.name} fails without a fault: ${stderr}`)
    return { job, site, calls }
  })
}

/** Looks at the states after each call. */
async function replay(
  { job, site, calls }: Recording,
  sample: Sample,
): Promise<{ states: number; violations: string[] }> {
  await makeSite(job, site.folder)
  const disk = await Disk.load(site.folder)
  await rm(site.folder, { recursive: true })
  const moments = sample.pick(
    `power-loss ${job.name}`,
    calls.flatMap((_, index) => LOSSES.map((loss) => ({ index, loss }))),
  )
  const seen = new Set<string>()
  const violations: string[] = []
  let next = 0
  for (const { index, loss } of moments) {
    while (next <= index) disk.apply(calls[next++]!)
    const state = stateAfter(disk.root, { ...loss, chance: (name) => sample.number(`${job.name} ${index} ${name}`) })
    const print = `${disk.output.length} ${fingerprint(state)}`
    if (seen.has(print)) continue
    seen.add(print)
    await materialise(state, site.folder)
    const problems = await job.check(site, { stdout: disk.output })
    await rm(site.folder, { recursive: true })
    const { name, path } = calls[index]!
    const what = `${job.name}, after call ${index} (${name} of ${path}), content ${loss.content}, names ${loss.entries}`
    violations.push(...problems.map((problem) => `${what}: ${problem}`))
  }
  return { states: seen.size, violations }
}

const LOSSES: readonly Omit<Loss, 'chance'>[] = CONTENT_LOSSES.flatMap((content) => {
  return ENTRY_LOSSES.map((entries) => ({ content, entries }))
})
