/** `p2p get` from a peer: a folder, a pinned one, and a file in the place of another. */

import { lstat, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../../../src/common/errors.ts'
import type { GetOptions } from '../../../src/node/api.ts'
import { describeTree, sha256OfFile } from '../../support/bytes.ts'
import { addPath, startServe } from '../../support/processes.ts'
import type { Ground } from '../campaign.ts'
import { brokenPromises } from '../repo-check.ts'
import { makeTree, SMALL_FILES } from './content.ts'
import { type Ended, type Job, type PrepareJob, type Site, withNode } from './job.ts'

const NOTHING = 'nothing'

interface Download {
  name: string
  flags?: string[]
  options?: Partial<GetOptions>
  cid: string
  peer: string
  /** As {@link describe} tells it. */
  expected: string
  /** Files under 1 MiB that nobody has pinned are not synced one by one: a power cut may take what is in them. */
  mayLoseSmallFiles?: boolean
}

export const getFolder: PrepareJob = async (ground) => {
  const { tree, cid, peer } = await serveTree(ground, (path) => path)
  return download({ name: 'get', cid, peer, expected: await describe(tree), mayLoseSmallFiles: true })
}

export const getPinned: PrepareJob = async (ground) => {
  const { tree, cid, peer } = await serveTree(ground, (path) => path)
  const options = { pin: true }
  return download({ name: 'get --pin', flags: ['--pin'], options, cid, peer, expected: await describe(tree) })
}

export const getOverOther: PrepareJob = async (ground, template) => {
  const { tree, cid, peer } = await serveTree(ground, (path) => join(path, 'large.bin'))
  const target = targetOf(template)
  await writeFile(target, 'what was there before')
  const before = await describe(target)
  const job = download({
    name: 'get --force',
    flags: ['--force'],
    options: { force: true },
    cid,
    peer,
    expected: await describe(join(tree, 'large.bin')),
  })
  const check = async (site: Site, ended: Ended) => {
    const isUntouched = !isAcknowledged(ended) && (await describe(targetOf(site))) === before
    return await job.check(site, ended, isUntouched)
  }
  return { ...job, check }
}

/** A tree, and a peer that has it. @param chosen - what of it is downloaded */
async function serveTree({ folder, scope }: Ground, chosen: (path: string) => string) {
  const [tree, repo] = [join(folder, 'tree'), join(folder, 'seeder')]
  await mkdir(folder, { recursive: true })
  await makeTree(tree, 'served')
  const cid = await addPath(repo, chosen(tree))
  const { multiaddr } = await startServe(scope, repo)
  return { tree, cid, peer: multiaddr }
}

function download({ name, flags = [], options, cid, peer, expected, mayLoseSmallFiles = false }: Download) {
  const check = async (site: Site, ended: Ended, isUntouched = false): Promise<string[]> => {
    const target = targetOf(site)
    const succeeded = isAcknowledged(ended)
    const problems = await brokenPromises(site.repo, succeeded && options?.pin === true ? [cid] : [])
    if (ended.code === 0 && !succeeded) problems.push('it succeeded and does not say so')
    const found = await describe(target)
    if (found === NOTHING && succeeded) problems.push('it succeeded and the result is not there')
    const looksAt =
      mayLoseSmallFiles && ended.code === undefined ? withoutSmallFiles : (description: string) => description
    const isWhole = looksAt(found) === looksAt(expected)
    if (found !== NOTHING && !isWhole && !isUntouched) problems.push(`the result is not whole:\n${found}`)
    try {
      const again = { ...options, target: { kind: 'path' as const, path: target }, peers: [peer], force: true }
      await withNode(site, (node) => node.get(cid, again))
    } catch (error) {
      problems.push(`getting it again fails: ${messageOf(error)}`)
    }
    if ((await describe(target)) !== expected) problems.push('getting it again leaves something else')
    return problems
  }
  return {
    name,
    args: (site: Site) => ['get', cid, '-o', targetOf(site), '--peer', peer, '--json', ...flags],
    check,
  } satisfies Job
}

function isAcknowledged({ stdout }: Ended): boolean {
  return /"type":"result".*"exitCode":0.*\n/.test(stdout)
}

function targetOf({ out }: Site): string {
  return join(out, 'result')
}

function withoutSmallFiles(description: string): string {
  const lines = description.split('\n')
  return lines.filter((line) => !SMALL_FILES.some((name) => line.startsWith(`${name} `))).join('\n')
}

/** What stands at a path, as text. */
async function describe(path: string): Promise<string> {
  const stats = await lstat(path).catch(() => undefined)
  if (stats === undefined) return NOTHING
  return stats.isDirectory() ? (await describeTree(path)).join('\n') : await sha256OfFile(path)
}
