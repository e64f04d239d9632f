/**
 * The power goes at any moment: after each recorded call, what a disk may have kept of it is put on a real one and
 * looked at. The replayer has to prove itself as well: without one of the product's syncs it must find a loss.
 */

import { randomUUID } from 'node:crypto'
import { access, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { mapBounded } from '../../../src/common/concurrency.ts'
import { makeTempDir } from '../../support/temp.ts'
import { buildIntercept, type SystemCall } from '../calls/intercept.ts'
import type { Campaign, Findings } from '../campaign.ts'
import { addInPlace, addToNewRepo, addToUsedRepo } from '../jobs/add.ts'
import { getFolder, getOverOther, getPinned } from '../jobs/get.ts'
import { makeSite, type PreparedJob, prepareJobs, type Site } from '../jobs/job.ts'
import { collect, removePin } from '../jobs/keep.ts'
import { runJob } from '../jobs/run-job.ts'
import {
  CONTENT_LOSSES,
  ENTRY_LOSSES,
  fingerprint,
  type Loss,
  materialise,
  type StateNode,
  stateAfter,
} from '../power-loss/crash-state.ts'
import { Disk } from '../power-loss/disk.ts'
import type { Sample } from '../sample.ts'

const JOBS = [addToNewRepo, addToUsedRepo, addInPlace, getFolder, getPinned, getOverOther, removePin, collect]

const JOBS_AT_ONCE = 2

/** A job that was recorded. Its site's path is in what it wrote, so that every state stands there. */
interface Recording {
  job: PreparedJob
  site: Site
  calls: SystemCall[]
  /** What was there when it began. */
  before: Disk
}

export const powerLoss: Campaign = {
  name: 'power-loss',
  title:
    'the power goes: unsynced data lost, torn, zeroed or mixed, names lost or mixed; what was acknowledged is there',
  atLeast: 2000,
  run: async (ground) => {
    const library = await buildIntercept(ground.folder)
    // The states are looked at in this boot, as they would be in the one after the power came back.
    const bootIdFile = join(ground.folder, 'boot-id')
    await writeFile(bootIdFile, randomUUID())
    const findings: Findings = { points: 0, violations: [], notes: [] }
    const place = await makeTempDir(ground.scope, await fastFolder())
    const jobs = await prepareJobs(ground, JOBS)
    const recordings = await mapBounded(jobs, JOBS_AT_ONCE, (job) => {
      return record(job, { library, bootIdFile, folder: join(place, String(jobs.indexOf(job))) })
    })
    await mapBounded(recordings, JOBS_AT_ONCE, async (recording) => {
      const { states, violations } = await tryMoments(recording, ground.sample)
      findings.points += states
      findings.violations.push(...violations)
      findings.notes!.push(`${recording.job.name}: ${recording.calls.length} calls, ${states} states`)
    })
    const proof = await proveReplay(recordings[0]!, ground.sample)
    findings.notes!.push(proof.note)
    findings.violations.push(...proof.violations)
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

async function record(
  job: PreparedJob,
  { folder, ...options }: { library: string; bootIdFile: string; folder: string },
): Promise<Recording> {
  const recording = await runJob(job, { ...options, folder, withData: true }, async ({ site, calls, code, stderr }) => {
    if (code !== 0) throw new Error(`${job.name} fails without a fault: ${stderr}`)
    return { job, site, calls }
  })
  await makeSite(job, folder)
  const before = await Disk.load(folder)
  await rm(folder, { recursive: true })
  return { ...recording, before }
}

/** Looks at states after each call. */
async function tryMoments(recording: Recording, sample: Sample): Promise<{ states: number; violations: string[] }> {
  const { job, calls, before } = recording
  const moments = sample.pick(
    `power-loss ${job.name}`,
    calls.flatMap((_, index) => lossesAfter(index).map((loss) => ({ index, loss }))),
  )
  const disk = before.copy()
  const seen = new Set<string>()
  const violations: string[] = []
  let next = 0
  for (const { index, loss } of moments) {
    while (next <= index) disk.apply(calls[next++]!)
    const state = stateAfter(disk.root, { ...loss, chance: (name) => sample.number(`${job.name} ${index} ${name}`) })
    const print = `${disk.output.length} ${fingerprint(state)}`
    if (seen.has(print)) continue
    seen.add(print)
    const problems = await lookAt(recording, state, disk.output)
    const { name, path } = calls[index]!
    const what = `${job.name}, after call ${index} (${name} of ${path}), content ${loss.content}, names ${loss.entries}`
    violations.push(...problems.map((problem) => `${what}: ${problem}`))
  }
  return { states: seen.size, violations }
}

/** Every loss of content, with losses of names that take turns. */
function lossesAfter(index: number): Omit<Loss, 'chance'>[] {
  return CONTENT_LOSSES.map((content, kind) => ({
    content,
    entries: ENTRY_LOSSES[(index + kind) % ENTRY_LOSSES.length]!,
  }))
}

async function lookAt({ job, site }: Recording, state: StateNode, stdout: string): Promise<string[]> {
  await materialise(state, site.folder)
  const problems = await job.check(site, { stdout })
  await rm(site.folder, { recursive: true })
  return problems
}

/**
 * Takes one sync after the other out of the record, and loses at its end all that is not synced: what a sync is there for
 * must then be missed.
 */
async function proveReplay(recording: Recording, sample: Sample): Promise<{ note: string; violations: string[] }> {
  const { calls, before, site } = recording
  const syncs = calls.filter(({ name }) => name === 'fsync' || name === 'fdatasync')
  const chosen = new Set(sample.pick('proof', syncs))
  // Of each kind that the promise rests on, one is tried always.
  const kinds = [/\/blocks\/packs\/\d+\.car$/, /\/blocks\/packs$/, /\/database\/\d+\.log$/]
  const vital = kinds.map((kind) => syncs.findLast(({ path }) => kind.test(path))!)
  for (const sync of vital) chosen.add(sync)
  const missed = new Set<SystemCall>()
  for (const sync of chosen) {
    const disk = before.copy()
    for (const call of calls) if (call !== sync) disk.apply(call)
    for (const entries of ['lost', 'kept'] as const) {
      const state = stateAfter(disk.root, { content: 'lost', entries, chance: () => 0 })
      if ((await lookAt(recording, state, disk.output)).length > 0) missed.add(sync)
    }
  }
  const unseen = vital.filter((sync) => !missed.has(sync))
  return {
    note: `with one sync taken out: a loss found for ${missed.size} of ${chosen.size}`,
    violations: unseen.map(({ path }) => `nothing is missed without the sync of ${relative(site.folder, path)}`),
  }
}
