/** Whether commands and servers slow down with the number of blocks in their repo. */

import assert from 'node:assert/strict'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { SECOND_MS } from '../../../src/common/units.ts'
import { AskingPeer } from '../../support/asking-peer.ts'
import { rawBlock } from '../../support/blocks.ts'
import { openScope } from '../../support/clean-up.ts'
import { addPath, p2pBinary, startServe } from '../../support/processes.ts'
import { makeTempDir } from '../../support/temp.ts'
import type { Bar, Bench } from '../bar.ts'
import { makeFile } from '../content.ts'
import type { Figure } from '../figures.ts'
import { contest, type Sample, timeCommand } from '../measure.ts'
import { p2pEnv } from '../p2p-env.ts'

const FEW = 1000
const MANY = 1_000_000
/** The file of which every so many bytes are a block. */
const CHUNK_BYTES = 64
const ASKED_FOR = 1000

interface LargeRepo {
  repo: string
  /** Of blocks from all over it. */
  cids: CID[]
}

export const largeRepo: Bar = {
  name: 'large-repo',
  title:
    'Commands on a repo of 1,000,000 blocks beside one of 1,000, whole; a server from its start until it answers; and 1,000 blocks from one that is up, by a peer that does nothing else',
  fixedRuns: 7,
  measure: async (bench) => {
    const [few, many] = [await makeRepo(bench, FEW), await makeRepo(bench, MANY)]
    const jobs: [name: string, run: (repo: LargeRepo) => Promise<Sample>][] = [
      ['pin ls', ({ repo }) => command(repo, 'pin', 'ls')],
      ['block stat', ({ repo, cids }) => command(repo, 'block', 'stat', `${cids[ASKED_FOR / 2]}`)],
      ['add of a new file', (to) => addNew(to, bench)],
      ['serve, until it answers', startUp],
    ]
    const figures: Figure[] = []
    for (const [name, run] of jobs)
      figures.push(
        ...(await beside(
          name,
          bench,
          () => run(many),
          () => run(few),
        )),
      )
    const [asked, askedOfFew] = [await server(many, bench), await server(few, bench)]
    figures.push(...(await beside(`${ASKED_FOR} blocks`, bench, asked, askedOfFew)))
    return figures
  },
}

async function beside(
  name: string,
  { runs }: Bench,
  ofMany: () => Promise<Sample>,
  ofFew: () => Promise<Sample>,
): Promise<Figure[]> {
  return await contest({
    ours: { name: `${name}, of ${MANY}`, run: ofMany },
    others: [{ name: `of ${FEW}`, target: { atMost: 1.5 }, run: ofFew }],
    runs,
    unit: 'time',
    show: (seconds) => seconds,
  })
}

async function makeRepo({ scope }: Bench, blocks: number): Promise<LargeRepo> {
  const folder = await makeTempDir(scope)
  const { path } = await makeFile(folder, blocks * CHUNK_BYTES)
  const repo = join(folder, 'repo')
  await addPath(repo, path, '--chunker', `size-${CHUNK_BYTES}`)
  const cids: CID[] = []
  const file = await open(path)
  for (let index = 0; index < ASKED_FOR; index++) {
    const bytes = Buffer.alloc(CHUNK_BYTES)
    await file.read(bytes, 0, CHUNK_BYTES, Math.floor((index * blocks) / ASKED_FOR) * CHUNK_BYTES)
    cids.push(rawBlock(bytes).cid)
  }
  await file.close()
  return { repo, cids }
}

async function command(repo: string, ...args: string[]): Promise<Sample> {
  return await timeCommand({ command: process.execPath, args: [p2pBinary, ...args], env: p2pEnv(repo) })
}

async function addNew({ repo }: LargeRepo, { folder }: Bench): Promise<Sample> {
  const path = join(folder, 'new')
  await writeFile(path, `${performance.now()}`)
  return await command(repo, 'add', path)
}

async function startUp({ repo }: LargeRepo): Promise<Sample> {
  const scope = openScope()
  try {
    const startedAt = performance.now()
    const serve = await startServe(scope, repo)
    const seconds = (performance.now() - startedAt) / SECOND_MS
    await serve.stop()
    return { seconds }
  } finally {
    await scope.end()
  }
}

/** Starts a server. @returns asks it for the blocks, over a new connection each time, which is not timed */
async function server({ repo, cids }: LargeRepo, { scope }: Bench): Promise<() => Promise<Sample>> {
  const { multiaddr } = await startServe(scope, repo)
  return async () => {
    const peer = await AskingPeer.connect(multiaddr)
    try {
      const startedAt = performance.now()
      const { blocks } = await peer.ask(cids)
      const seconds = (performance.now() - startedAt) / SECOND_MS
      assert.equal(blocks.length, cids.length)
      return { seconds }
    } finally {
      await peer.stop()
    }
  }
}
