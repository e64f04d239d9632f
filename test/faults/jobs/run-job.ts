/** Runs the command of a job with a fault in it. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MINUTE_MS } from '../../../src/common/units.ts'
import { type FinishedP2p, P2pProcess } from '../../support/processes.ts'
import { type CallName, type Fault, firedAt, interceptEnv, readCalls, type SystemCall } from '../calls/intercept.ts'
import { makeSite, type PreparedJob, type Site } from './job.ts'

const LIMIT_MS = MINUTE_MS

export interface RunOptions {
  /** Of `intercept.c`. */
  library: string
  /** Where the site is made; nothing is there yet. */
  folder: string
  counted?: readonly CallName[]
  withData?: boolean
  fault?: Fault
  /** As in `InterceptOptions`. */
  bootIdFile?: string
}

export interface JobRun extends FinishedP2p {
  site: Site
  calls: SystemCall[]
  /** The call that the fault happened at. */
  fired: SystemCall | undefined
  /** It went on for so long that it was ended. */
  hung: boolean
}

/** Runs the job in a site of its own, which is removed when `use` has looked at it. */
export async function runJob<T>(job: PreparedJob, options: RunOptions, use: (run: JobRun) => Promise<T>): Promise<T> {
  const { library, folder, counted, withData, fault, bootIdFile } = options
  const site = await makeSite(job, folder)
  // Beside the site, not in it.
  const log = `${folder}.calls`
  try {
    const env = interceptEnv(library, {
      watched: [site.folder],
      log,
      ...(counted && { counted }),
      ...(withData && { withData }),
      fault,
      bootIdFile,
    })
    const p2p = new P2pProcess(job.args(site), { repo: site.repo, env: { ...env, HOME: join(site.folder, 'home') } })
    let hung = false
    const limit = setTimeout(() => {
      hung = true
      p2p.kill('SIGKILL')
    }, LIMIT_MS)
    const finished = await p2p.finished
    clearTimeout(limit)
    const calls = await readCalls(log)
    return await use({ ...finished, site, calls, fired: firedAt(calls), hung })
  } finally {
    await rm(folder, { recursive: true, force: true })
    await rm(log, { force: true })
  }
}

/** The calls that the job makes when nothing fails. @throws Error if it does not succeed */
export async function callsWithoutFault(job: PreparedJob, options: RunOptions): Promise<SystemCall[]> {
  return await runJob(job, options, async ({ code, stderr, calls }) => {
    if (code !== 0) throw new Error(`${job.name} fails without a fault: ${stderr}`)
    return calls
  })
}
