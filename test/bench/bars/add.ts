/** What comes in: one large file, and many small ones. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { KiB } from '../../../src/common/units.ts'
import { type OpenScope, openScope } from '../../support/clean-up.ts'
import { noHelia, startHelia } from '../../support/helia.ts'
import { initKubo, noKubo } from '../../support/kubo.ts'
import { p2pBinary } from '../../support/processes.ts'
import type { Bar, Bench } from '../bar.ts'
import { makeFile, makeFolder } from '../content.ts'
import type { Target } from '../figures.ts'
import { type Contender, contest, type Sample, timeCommand } from '../measure.ts'
import { type Other, present } from '../others.ts'
import { p2pEnv } from '../p2p-env.ts'

export const add: Bar = {
  name: 'add',
  title: 'A file into a new repo, durable where p2p prints its CID; whole commands, but for Helia, whose node is up',
  mib: 1024,
  measure: async (bench) => {
    const { folder, byteCount, runs } = bench
    const { path } = await makeFile(folder, byteCount)
    const others = await otherWays(bench, path, { atLeast: 1.5 })
    return await contest({
      ours: p2pAdd(folder, path),
      others: [p2pAdd(folder, path, '--nocopy'), ...others],
      runs,
      unit: 'rate',
      show: (seconds) => byteCount / seconds,
    })
  },
}

export const addSmall: Bar = {
  name: 'add-small',
  title: '10,000 files of 4 KiB in 100 folders into a new repo, as above',
  measure: async (bench) => {
    const { folder, runs } = bench
    const { path } = await makeFolder(folder, { folderCount: 100, filesEach: 100, fileBytes: 4 * KiB })
    const others = await otherWays(bench, path, { atLeast: 1 })
    return await contest({
      ours: p2pAdd(folder, path),
      others: [p2pAdd(folder, path, '--nocopy'), ...others],
      runs,
      unit: 'time',
      show: (seconds) => seconds,
    })
  },
}

function p2pAdd(folder: string, path: string, ...flags: string[]): Contender {
  const repo = join(folder, 'add-repo')
  const args = [p2pBinary, 'add', ...flags, path]
  return {
    name: ['p2p add', ...flags].join(' '),
    run: () => timeCommand({ command: process.execPath, args, env: p2pEnv(repo) }),
    tidy: () => rm(repo, { recursive: true }),
  }
}

async function otherWays(bench: Bench, path: string, target: Target): Promise<Contender[]> {
  return await present(bench, [
    { other: kuboAdd(path), target },
    { other: heliaAdd(path) },
    { other: Promise.resolve(copyAndSync(bench, path)) },
  ])
}

async function kuboAdd(path: string): Promise<Other> {
  const reason = await noKubo()
  if (reason !== false) return reason
  return inNewScope('Kubo add', async (scope) => {
    const ipfs = await initKubo(scope, 'unixfs-v1-2025')
    return () => ipfs('add', '--recursive', '--quieter', path)
  })
}

async function heliaAdd(path: string): Promise<Other> {
  if (noHelia !== false) return noHelia
  return inNewScope('Helia add', async (scope) => {
    const node = await startHelia(scope)
    return () => node.add(path)
  })
}

/** A repo, or a node, of its own for each run. */
function inNewScope(name: string, prepare: (scope: OpenScope) => Promise<() => Promise<unknown>>): Contender {
  let scope: OpenScope
  let work: () => Promise<unknown>
  return {
    name,
    prepare: async () => {
      scope = openScope()
      work = await prepare(scope)
    },
    run: () => timed(work),
    tidy: () => scope.end(),
  }
}

async function timed(work: () => Promise<unknown>): Promise<Sample> {
  const startedAt = performance.now()
  await work()
  return { seconds: (performance.now() - startedAt) / 1000 }
}

function copyAndSync({ folder }: Bench, path: string): Contender {
  const copy = join(folder, 'add-copy')
  return {
    name: 'cp && sync',
    run: () => timeCommand({ command: 'sh', args: ['-c', 'cp -R "$1" "$2" && sync "$2"', 'sh', path, copy] }),
    tidy: () => rm(copy, { recursive: true }),
  }
}
