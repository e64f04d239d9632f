/** `p2p get` as the bench times it: in an empty repo, from process start to the moment the verified file is renamed. */

import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { SECOND_MS } from '../../src/common/units.ts'
import { type CleanUpScope, cleanUpAfter, openScope } from '../support/clean-up.ts'
import { type GetResultEvent, type P2pProcess, resultOfGet, startP2p } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'
import type { Content } from './content.ts'
import { type Contender, watchPeak } from './measure.ts'
import { countBytes, type Seeder } from './seeders.ts'

/** Rounding and timing leave no more; what is missing beyond that went past the links. */
const MIN_SHARE_THROUGH_LINKS = 0.98

export interface GetJob {
  /** Where a folder for the repo and the copy is made, removed after the check. */
  folder: string
  cid: string
  /** Multiaddrs for `--peer`. */
  peers: string[]
}

export interface Download {
  /** Wall clock, in milliseconds. */
  startedAtMs: number
  finishedAtMs: number
  seconds: number
  peakBytes: number | undefined
  stats: GetResultEvent['stats']
  /** What `--json` reports, about every 400 ms: bytes that are verified and in place. */
  progress: { atMs: number; bytes: number }[]
  /** Checks that the copy is the same as the content, and removes it with the repo. */
  checkAndRemove(content: Content): Promise<void>
}

export interface RunningGet {
  process: P2pProcess
  finished: Promise<Download>
}

export async function startGet(scope: CleanUpScope, { folder, cid, peers }: GetJob): Promise<RunningGet> {
  const own = openScope()
  cleanUpAfter(scope, own.end)
  const repo = await makeTempDir(own, folder)
  const copy = join(repo, 'copy')
  const args = ['get', cid, '-o', copy, ...peers.flatMap((peer) => ['--peer', peer]), '--json']
  const startedAtMs = Date.now()
  const process = startP2p(own, args, { repo })
  const endOfPeak = watchPeak(process.pid)
  const finish = async (): Promise<Download> => {
    const ended = await process.finished
    const peakBytes = endOfPeak()
    const { stats } = resultOfGet(ended)
    // A rename sets it, and nothing else touches the copy after its rename.
    const { ctimeMs: finishedAtMs } = await stat(copy)
    return {
      startedAtMs,
      finishedAtMs,
      seconds: (finishedAtMs - startedAtMs) / SECOND_MS,
      peakBytes,
      stats,
      progress: process.events
        .filter(({ type }) => type === 'progress')
        .map(({ ts, bytes }) => ({ atMs: Date.parse(String(ts)), bytes: Number(bytes) })),
      checkAndRemove: async (content) => {
        await content.assertSame(copy)
        await own.end()
      },
    }
  }
  return { process, finished: finish() }
}

/** Downloads once, checks and removes. */
export async function getOnce(scope: CleanUpScope, job: GetJob, content: Content): Promise<Download> {
  const download = await (await startGet(scope, job)).finished
  await download.checkAndRemove(content)
  return download
}

/** `p2p get` from one seeder, among other contenders. */
export function p2pGet(scope: CleanUpScope, job: GetJob, content: Content): Contender {
  return { name: 'p2p get', run: () => getOnce(scope, job, content) }
}

export interface LinkedGetJob extends Omit<GetJob, 'peers'> {
  seeders: Seeder[]
}

/**
 * {@link getOnce} from seeders behind links.
 *
 * @returns also the bytes that the links passed on to it, encryption included
 * @throws AssertionError if some of what was received did not go through the links
 */
export async function getThroughLinks(
  scope: CleanUpScope,
  { seeders, ...job }: LinkedGetJob,
  content: Content,
): Promise<Download & { linkBytes: number }> {
  const count = countBytes(seeders)
  const download = await getOnce(scope, { ...job, peers: seeders.map(({ address }) => address) }, content)
  const linkBytes = count()
  assertThroughLinks('p2p get', linkBytes, download.stats.receivedBytes)
  return { ...download, linkBytes }
}

/** @throws AssertionError if less went through the links than was received */
export function assertThroughLinks(who: string, linkBytes: number, receivedBytes: number): void {
  const share = linkBytes / receivedBytes
  assert.ok(
    share >= MIN_SHARE_THROUGH_LINKS,
    `${who}: only ${(100 * share).toFixed(1)} % of the bytes went through the links`,
  )
}
