/** One bit is flipped in blocks of a node that serves them; others ask for them, and it looks for them and repairs them. */

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sharding } from '../../../src/blockstore/sharding.ts'
import { damaged } from '../../support/blocks.ts'
import { randomBytes } from '../../support/bytes.ts'
import { addFolder, type MadeNode, makeNode, verified } from '../../support/made-node.ts'
import type { Campaign } from '../campaign.ts'

const BLOCKS = 200
const SOUND_BLOCKS = 20
const BLOCK_BYTES = 500

export const bitFlips: Campaign = {
  name: 'bit-flips',
  title: `one bit is flipped in ${BLOCKS} blocks of a node that serves: none is served, all are found and repaired`,
  atLeast: BLOCKS,
  run: async ({ scope, sample }) => {
    const violations: string[] = []
    const expect = (holds: boolean, violation: string) => {
      if (!holds) violations.push(violation)
    }
    const files: Record<string, Uint8Array> = {}
    const count = sample.count(BLOCKS)
    for (let file = 0; file < count + SOUND_BLOCKS; file++) files[file] = randomBytes(`file ${file}`, BLOCK_BYTES)
    const good = await makeNode(scope, { serves: true })
    const bad = await makeNode(scope, { serves: true })
    const cid = await addFolder(good, files)
    await addFolder(bad, files)
    const flipped = await flipBits(bad, count)

    const receiver = await makeNode(scope)
    const peers = bad.node.multiaddrs()
    const target = { kind: 'path', path: join(receiver.folder, 'result') } as const
    const isFetched = async (timeoutMs?: number) => {
      const result = receiver.node.get(cid, { target, peers, timeoutMs })
      return await result.then(
        () => true,
        () => false,
      )
    }
    expect(!(await isFetched(2000)), 'a folder with damaged blocks was served')
    const { blocks } = await receiver.node.run('repo', {})
    expect(blocks <= SOUND_BLOCKS + 1, `${blocks} blocks were served, which are more than are sound`)
    expect(
      bad.warnings.some((warning) => warning.includes('was damaged on this disk')),
      'the node that serves has not told of any damage',
    )

    const found = new Set((await verified(bad.node)).problems.map((problem) => problem.cid))
    for (const each of flipped) expect(found.has(each), `${each} is damaged and was not found`)
    for (const each of found) expect(each !== null && flipped.has(each), `${each} was found and is sound`)
    const alone = await verified(bad.node, { repair: true, offline: true })
    expect(alone.result.repaired === 0, `${alone.result.repaired} blocks were repaired out of nothing`)
    const { result } = await verified(bad.node, { repair: true, peers: good.node.multiaddrs() })
    expect(result.repaired === flipped.size, `${result.repaired} of ${flipped.size} blocks were repaired`)
    const left = (await verified(bad.node)).result.problems
    expect(left === 0, `${left} problems are left after the repair`)
    expect(await isFetched(), 'what was repaired could not be fetched')
    return { points: flipped.size, violations }
  },
}

/** The CIDs of so many blocks of files that are damaged from now on. */
async function flipBits({ folder }: MadeNode, count: number): Promise<Set<string>> {
  const blocks = join(folder, 'repo', 'blocks')
  const flipped = new Set<string>()
  for (const path of await readdir(blocks, { recursive: true })) {
    if (!path.endsWith(sharding.extension) || flipped.size === count) continue
    const content = await readFile(join(blocks, path))
    // The folder tells what to ask for.
    if (content.byteLength !== BLOCK_BYTES) continue
    await writeFile(join(blocks, path), damaged(content))
    flipped.add(sharding.decode(path).toString())
  }
  return flipped
}
