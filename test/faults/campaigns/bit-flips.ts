/** One bit is flipped in blocks of a node that serves them; others ask for them, and it looks for them and repairs them. */

import { join } from 'node:path'
import { parseCid } from '../../../src/dag/cid.ts'
import { askForBlocks } from '../../support/asking-peer.ts'
import { rawBlock } from '../../support/blocks.ts'
import { randomBytes } from '../../support/bytes.ts'
import { addFolder, type MadeNode, makeNode, verified } from '../../support/made-node.ts'
import { damageStored, storedBlocks } from '../../support/stored-blocks.ts'
import type { Campaign } from '../campaign.ts'

const BLOCKS = 200
const SOUND_BLOCKS = 20
const SMALL_BYTES = 500
/** Half of these are damaged. */
const LARGE_FILES = 4
const LARGE_BYTES = 70_000

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
    for (let file = 0; file < count + SOUND_BLOCKS; file++) {
      files[file] = randomBytes(`file ${file}`, file < LARGE_FILES ? LARGE_BYTES : SMALL_BYTES)
    }
    const good = await makeNode(scope, { serves: true })
    const bad = await makeNode(scope, { serves: true })
    await addFolder(good, files)
    await addFolder(bad, files)
    const { flipped, sound } = await flipBits(bad, count)

    const [server] = bad.node.multiaddrs()
    const asked = [...flipped, ...sound].map((each) => parseCid(each))
    const { blocks, missing } = await askForBlocks(server!, asked)
    const served = blocks.map((bytes) => rawBlock(bytes).cid.toString())
    expect(isSameSet(served, sound), `${served.length} blocks were served, which are not the ${sound.size} sound ones`)
    expect(isSameSet(missing.map(String), flipped), `${missing.length} blocks were said to be missing`)
    const told = bad.warnings.filter((warning) => warning.includes('was damaged on this disk')).length
    expect(told === flipped.size, `of ${told} blocks it was told that they are damaged`)

    const found = new Set((await verified(bad.node)).problems.map((problem) => problem.cid))
    for (const each of flipped) expect(found.has(each), `${each} is damaged and was not found`)
    for (const each of found) expect(each !== null && flipped.has(each), `${each} was found and is sound`)
    const alone = await verified(bad.node, { repair: true, offline: true })
    expect(alone.result.repaired === 0, `${alone.result.repaired} blocks were repaired out of nothing`)
    const { result } = await verified(bad.node, { repair: true, peers: good.node.multiaddrs() })
    expect(result.repaired === flipped.size, `${result.repaired} of ${flipped.size} blocks were repaired`)
    const left = (await verified(bad.node)).result.problems
    expect(left === 0, `${left} problems are left after the repair`)
    const repaired = await askForBlocks(server!, asked)
    expect(repaired.blocks.length === asked.length, `${repaired.missing.length} blocks are not served after the repair`)
    return { points: flipped.size, violations }
  },
}

/** Damages so many of the files' blocks. @returns the CIDs of these, and of the others */
async function flipBits({ folder }: MadeNode, count: number): Promise<{ flipped: Set<string>; sound: Set<string> }> {
  const blocks = join(folder, 'repo', 'blocks')
  // Without the folder's own.
  const files = (await storedBlocks(blocks)).filter(({ length }) => length === SMALL_BYTES || length === LARGE_BYTES)
  const cids = files.sort((one, other) => other.length - one.length).map(({ cid }) => cid)
  const flipped = [...cids.slice(0, LARGE_FILES / 2), ...cids.slice(LARGE_FILES)].slice(0, count)
  await damageStored(blocks, flipped)
  const sound = cids.filter((cid) => !flipped.includes(cid))
  return { flipped: new Set(flipped.map(String)), sound: new Set(sound.map(String)) }
}

function isSameSet(list: readonly string[], set: ReadonlySet<string>): boolean {
  return list.length === set.size && list.every((item) => set.has(item))
}
