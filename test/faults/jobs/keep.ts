/** Commands that change what is kept, and the settings. */

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '../../../src/common/errors.ts'
import { loadConfig } from '../../../src/repo/config.ts'
import { randomBytes } from '../../support/bytes.ts'
import { runP2p } from '../../support/processes.ts'
import { brokenPromises } from '../repo-check.ts'
import { makeTree } from './content.ts'
import { type Ended, type PrepareJob, type Site, withNode } from './job.ts'

/** Two pinned trees that have a file in common. */
async function addTwo(folder: string, template: Site): Promise<{ removed: string; kept: string }> {
  const cids: string[] = []
  for (const name of ['removed', 'kept']) {
    const tree = join(folder, name)
    await makeTree(tree, name)
    const { roots } = await withNode(template, (node) => node.add([{ path: tree }]))
    cids.push(roots[0]!.cid)
  }
  const [removed = '', kept = ''] = cids
  return { removed, kept }
}

export const removePin: PrepareJob = async ({ folder }, template) => {
  const { removed, kept } = await addTwo(folder, template)
  const args = ['pin', 'rm', removed]
  return {
    name: 'pin rm',
    args: () => args,
    check: async (site, ended) => [
      ...(await brokenPromises(site.repo, [kept])),
      ...(ended.code === 0 || ended.stdout.includes(removed) ? await stillPinned(site, removed) : []),
      // It may have been done before it could say so.
      ...(await runAgain(site, args, [0, NOT_FOUND])),
      ...(await stillPinned(site, removed)),
      ...(await brokenPromises(site.repo, [kept])),
    ],
  }
}

export const collect: PrepareJob = async ({ folder }, template) => {
  const { removed, kept } = await addTwo(folder, template)
  // With it most of the pack is dead, so that the rest of it moves.
  const loose = join(folder, 'loose')
  await writeFile(loose, randomBytes('loose', 50_000))
  await withNode(template, (node) => node.add([{ path: loose }], { pin: false }))
  await runToEnd(template, ['pin', 'rm', removed])
  return {
    name: 'gc',
    args: () => ['gc'],
    check: async (site) => [
      ...(await brokenPromises(site.repo, [kept])),
      ...(await runAgain(site, ['gc'], [0])),
      ...(await brokenPromises(site.repo, [kept])),
    ],
  }
}

export const changeSetting: PrepareJob = async (_ground, template) => {
  await mkdir(template.repo, { recursive: true })
  await runToEnd(template, ['config', 'set', 'limits.up', '1MiB'])
  const args = ['config', 'set', 'limits.up', '2MiB']
  return { name: 'config set', args: () => args, check: (site, ended) => checkSetting(site, ended, args) }
}

const NOT_FOUND = 3

async function checkSetting({ repo, ...site }: Site, { code }: Ended, args: string[]): Promise<string[]> {
  const file = join(repo, 'config.json')
  const problems: string[] = []
  try {
    const found = (await loadConfig(file))['limits.up']
    const isOld = found === 1024 ** 2
    if (code === 0 && isOld) problems.push('it succeeded and the setting is as it was')
    if (!isOld && found !== 2 * 1024 ** 2) problems.push(`the setting is neither the old nor the new one: ${found}`)
  } catch (error) {
    problems.push(`the settings cannot be read: ${messageOf(error)}\n${await readFile(file, 'utf8').catch(messageOf)}`)
  }
  return [...problems, ...(await brokenPromises(repo)), ...(await runAgain({ repo, ...site }, args, [0]))]
}

async function stillPinned(site: Site, cid: string): Promise<string[]> {
  const isPinned = (await brokenPromises(site.repo, [cid])).length === 0
  return isPinned ? [`${cid} is still pinned`] : []
}

async function runAgain({ repo }: Site, args: string[], codes: number[]): Promise<string[]> {
  const { code, stderr } = await runP2p(args, { repo })
  return codes.includes(code ?? -1) ? [] : [`the same command again ends with ${code}: ${stderr}`]
}

async function runToEnd({ repo }: Site, args: string[]): Promise<void> {
  const { code, stderr } = await runP2p(args, { repo })
  if (code !== 0) throw new Error(`p2p ${args.join(' ')} fails: ${stderr}`)
}
