/** One file call fails while a peer is served: what cannot be read is not said to be missing, and comes when it can be. */

import { cp, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { mapBounded } from '../../../src/common/concurrency.ts'
import { messageOf } from '../../../src/common/errors.ts'
import { parseCid } from '../../../src/dag/cid.ts'
import { AskingPeer } from '../../support/asking-peer.ts'
import { randomBytes } from '../../support/bytes.ts'
import { withCleanUp } from '../../support/clean-up.ts'
import { addPath, addPaths, startServe } from '../../support/processes.ts'
import { storedBlocks } from '../../support/stored-blocks.ts'
import { buildIntercept, firedAt, interceptEnv, readCalls, type SystemCall } from '../calls/intercept.ts'
import type { Campaign, Findings, Ground } from '../campaign.ts'
import { brokenPromises } from '../repo-check.ts'
import { type FaultKind, RUNS_AT_ONCE } from './points.ts'

const KINDS: readonly FaultKind[] = [
  { errno: 'EIO', counted: ['open', 'read'] },
  { errno: 'EACCES', counted: ['open'] },
  { errno: 'EMFILE', counted: ['open'] },
]

/** Of each kind of block so many: small and large ones in packs, and in files of the user, each of which is opened. */
const BLOCKS = 8
const IN_PLACE_BLOCKS = 12
const PACKED_BYTES = 500
const LARGE_BYTES = 70_000

/** What is served. */
interface Source {
  repo: string
  /** Files of the user that it serves from. */
  inPlace: string
  roots: string[]
  cids: CID[]
}

interface Point {
  kind: FaultKind
  /** As `Fault.at`. */
  at: number
}

interface Served {
  calls: SystemCall[]
  problems: string[]
}

export const serving: Campaign = {
  name: 'serving',
  title: 'EIO, EACCES, EMFILE at the N-th call while a peer is served: no block is said to be missing, all come',
  atLeast: 60,
  run: async (ground) => {
    const library = await buildIntercept(ground.folder)
    const source = await makeSource(ground)
    const findings: Findings = { points: 0, violations: [], notes: [] }
    const { calls } = await serve(library, source, join(ground.folder, 'whole'))
    const points = KINDS.flatMap((kind) => {
      const count = calls.filter(({ number, name }) => number > 0 && kind.counted.includes(name)).length
      return Array.from({ length: count }, (_, index): Point => ({ kind, at: index + 1 }))
    })
    const chosen = ground.sample.pick('serving', points)
    await mapBounded(chosen, RUNS_AT_ONCE, async (point) => {
      const { kind, at } = point
      const run = await serve(library, source, join(ground.folder, `${kind.errno}-${at}`), point)
      const fired = firedAt(run.calls)
      if (fired === undefined) return
      findings.points++
      const what = `${kind.errno} at call ${at} (${fired.second} of ${fired.path})`
      findings.violations.push(...run.problems.map((problem) => `${what}: ${problem}`))
    })
    findings.notes!.push(`${findings.points} of ${chosen.length} points hit`)
    return findings
  },
}

async function makeSource({ folder }: Ground): Promise<Source> {
  const [repo, copied, inPlace] = [join(folder, 'repo'), join(folder, 'copied'), join(folder, 'in-place')]
  await mkdir(copied)
  await mkdir(inPlace)
  for (let index = 0; index < BLOCKS; index++) {
    await writeFile(join(copied, `packed-${index}`), randomBytes(`packed ${index}`, PACKED_BYTES))
    await writeFile(join(copied, `large-${index}`), randomBytes(`large ${index}`, LARGE_BYTES))
  }
  for (let index = 0; index < IN_PLACE_BLOCKS; index++) {
    await writeFile(join(inPlace, `${index}`), randomBytes(`in place ${index}`, PACKED_BYTES))
  }
  const inPlacePaths = (await readdir(inPlace)).map((name) => join(inPlace, name))
  // Each is one chunk, and so one raw block.
  const references = await addPaths(repo, '--nocopy', ...inPlacePaths)
  const roots = [await addPath(repo, copied), ...references]
  const stored = await storedBlocks(join(repo, 'blocks'))
  return { repo, inPlace, roots, cids: [...stored.map(({ cid }) => cid), ...references.map(parseCid)] }
}

/** Serves all of it from a copy of the repo, and counts calls, or lets one fail, from when a peer has connected. */
async function serve(library: string, source: Source, folder: string, point?: Point): Promise<Served> {
  const [repo, log, armedBy] = [join(folder, 'repo'), join(folder, 'calls'), join(folder, 'armed')]
  await cp(source.repo, repo, { recursive: true, preserveTimestamps: true })
  const watched = [join(repo, 'blocks'), join(repo, 'database'), source.inPlace]
  const fault = point?.kind.errno && { at: point.at, errno: point.kind.errno }
  const env = interceptEnv(library, { watched, log, armedBy, ...(fault && { fault, counted: point.kind.counted }) })
  const problems: string[] = []
  try {
    await withCleanUp(async (scope) => {
      const server = await startServe(scope, repo, [], { env })
      const peer = await AskingPeer.connect(server.multiaddr)
      try {
        await writeFile(armedBy, '')
        await peer.askUntilGiven(source.cids)
        if (peer.missing.length > 0) problems.push(`it says that it does not have ${peer.missing}`)
      } finally {
        await peer.stop()
      }
      await server.stop()
    })
  } catch (error) {
    problems.push(messageOf(error))
  }
  problems.push(...(await brokenPromises(repo, source.roots)))
  return { calls: await readCalls(log), problems }
}
