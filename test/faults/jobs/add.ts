/** `p2p add` in its kinds: into a new repo, into one that has some of it, and without a copy. */

import { join } from 'node:path'
import { messageOf } from '../../../src/common/errors.ts'
import { brokenPromises } from '../repo-check.ts'
import { makeTree } from './content.ts'
import { type Ended, type PrepareJob, type Site, withNode } from './job.ts'

export const addToNewRepo: PrepareJob = async ({ folder }) => {
  const tree = join(folder, 'tree')
  await makeTree(tree, 'new')
  return { name: 'add', args: () => ['add', tree], check: (site, ended) => checkAdd(site, ended, tree) }
}

export const addToUsedRepo: PrepareJob = async ({ folder }, template) => {
  const [earlier, tree] = [join(folder, 'earlier'), join(folder, 'tree')]
  await makeTree(earlier, 'earlier')
  await makeTree(tree, 'later')
  await withNode(template, (node) => node.add([{ path: earlier }]))
  return {
    name: 'add, some of it is there',
    args: () => ['add', tree],
    check: (site, ended) => checkAdd(site, ended, tree),
  }
}

export const addInPlace: PrepareJob = async ({ folder }) => {
  const tree = join(folder, 'tree')
  await makeTree(tree, 'in place')
  return {
    name: 'add --nocopy',
    args: () => ['add', '--nocopy', tree],
    check: (site, ended) => checkAdd(site, ended, tree),
  }
}

async function checkAdd(site: Site, { stdout, code }: Ended, tree: string): Promise<string[]> {
  const acknowledged = stdout.split('\n').slice(0, -1)
  const problems = await brokenPromises(site.repo, acknowledged)
  if (code === 0 && acknowledged.length !== 1) problems.push(`it printed "${stdout}"`)
  try {
    const { roots } = await withNode(site, (node) => node.add([{ path: tree }]))
    problems.push(...(await brokenPromises(site.repo, [...acknowledged, ...roots.map(({ cid }) => cid)])))
  } catch (error) {
    problems.push(`adding again fails: ${messageOf(error)}`)
  }
  return problems
}
