/** A server whose connections take every descriptor that it may have: it serves again once they have ended. */

import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { messageOf } from '../../../src/common/errors.ts'
import { AskingPeer } from '../../support/asking-peer.ts'
import { randomBlock } from '../../support/blocks.ts'
import { withCleanUp } from '../../support/clean-up.ts'
import { addPath, startServe } from '../../support/processes.ts'
import { buildIntercept, interceptEnv, readCalls } from '../calls/intercept.ts'
import type { Campaign, Findings, Ground } from '../campaign.ts'
import { brokenPromises } from '../repo-check.ts'

/** Of the server, which has 25 of them open before anybody connects. */
const LIMITS = [64, 128]
const BLOCKS = 100
/** Each lies in a file of the user, which is opened to read it. */
const BLOCK_BYTES = 66_000

interface Source {
  library: string
  repo: string
  tree: string
  cids: CID[]
}

export const descriptors: Campaign = {
  name: 'descriptors',
  title: `a server with ${LIMITS.join(' or ')} descriptors, all of them taken: ${BLOCKS} blocks are served afterwards`,
  atLeast: BLOCKS,
  run: async (ground) => {
    const source = await makeSource(ground)
    const findings: Findings = { points: 0, violations: [], notes: [] }
    for (const limit of ground.sample.pick('descriptors', LIMITS)) {
      const log = join(ground.folder, `calls-${limit}`)
      const problems = await serveWithout(source, limit, log).catch((error) => [messageOf(error)])
      findings.violations.push(...problems.map((problem) => `${limit} descriptors: ${problem}`))
      const calls = await readCalls(log)
      const refused = calls.filter(({ name, errno }) => name === 'open' && errno === constants.errno.EMFILE)
      const blocks = new Set(refused.map(({ path }) => path)).size
      findings.points += blocks
      findings.notes!.push(`${limit} descriptors: ${refused.length} times one of ${blocks} blocks could not be opened`)
    }
    return findings
  },
}

async function makeSource({ folder, sample }: Ground): Promise<Source> {
  const [repo, tree] = [join(folder, 'repo'), join(folder, 'tree')]
  await mkdir(tree)
  const blocks = Array.from({ length: sample.count(BLOCKS) }, (_, index) => randomBlock(`block ${index}`, BLOCK_BYTES))
  for (const [index, { bytes }] of blocks.entries()) await writeFile(join(tree, String(index)), bytes)
  await addPath(repo, tree, '--nocopy')
  return { library: await buildIntercept(folder), repo, tree, cids: blocks.map(({ cid }) => cid) }
}

async function serveWithout({ library, repo, tree, cids }: Source, limit: number, log: string): Promise<string[]> {
  const problems: string[] = []
  await withCleanUp(async (scope) => {
    const env = interceptEnv(library, { watched: [tree], log })
    const wrapper = ['sh', '-c', `ulimit -n ${limit} && exec "$@"`, 'sh']
    const server = await startServe(scope, repo, [], { env, wrapper })
    const peer = await AskingPeer.connect(server.multiaddr)
    const crowd = await AskingPeer.connect(server.multiaddr)
    try {
      while (!(await hasAll(server.process.pid, limit))) await crowd.connectAgain(server.multiaddr).catch(() => {})
      const given = peer.askUntilGiven(cids)
      // Until it has tried all that it does.
      const told = server.process.waitForEvent('warning', ({ message }) => /too many files/.test(String(message)))
      await Promise.race([told, given])
      await crowd.stop()
      await given
      if (peer.missing.length > 0) problems.push(`it says that it does not have ${peer.missing}`)
    } finally {
      await crowd.stop()
      await peer.stop()
    }
    await server.stop()
  })
  return [...problems, ...(await brokenPromises(repo))]
}

/** Whether no descriptor is left to the process. */
async function hasAll(pid: number, limit: number): Promise<boolean> {
  const open = await readdir(`/proc/${pid}/fd`)
  return open.filter((descriptor) => Number(descriptor) < limit).length === limit
}
