/**
 * `npm run test:cids -- [--trees 500] [--seed <text>]`: trees at random, imported with switches at random, by `p2p` and by
 * Kubo: the CIDs have to be the same, and each has to read what the other imported. Prints the seed, which gives the same
 * trees again, and what does not agree.
 */

import '../../../src/common/node20.ts'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { messageOf } from '../../../src/common/errors.ts'
import { type CleanUpScope, withCleanUp } from '../../support/clean-up.ts'
import { type KuboProfile, noKubo, startKubo } from '../../support/kubo.ts'
import { makeNode } from '../../support/made-node.ts'
import { makeTempDir } from '../../support/temp.ts'
import { compareImports, type Sides } from './compare.ts'
import { Dice } from './dice.ts'
import { randomSwitches } from './random-switches.ts'
import { writeRandomTree } from './random-tree.ts'

const DEFAULT_TREES = 60
const PROGRESS_EVERY = 20

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { trees: { type: 'string' }, seed: { type: 'string' } } })
  const count = Number(values.trees ?? DEFAULT_TREES)
  const seed = values.seed ?? String(Math.floor(Math.random() * 1e9))
  const reason = await noKubo()
  if (reason !== false || !(count >= 1))
    throw new Error(reason || 'usage: npm run test:cids -- [--trees 60] [--seed 1]')

  console.log(`${count} random trees with seed ${seed}`)
  const total = await withCleanUp(async (scope) => {
    const folder = await makeTempDir(scope)
    const sidesFor = await startSides(scope)
    const total = { failed: 0, byCar: 0, entries: 0, leftOut: 0 }
    for (let index = 0; index < count; index++) {
      const dice = new Dice(`${seed}/${index}`)
      const switches = randomSwitches(dice)
      const work = join(folder, String(index))
      await mkdir(work)
      await writeRandomTree(join(work, 'tree'), dice, switches.shape)
      try {
        const { byCar, entries, leftOut } = await compareImports(work, switches, sidesFor(switches.profile))
        if (byCar) total.byCar++
        total.entries += entries
        total.leftOut += leftOut
      } catch (error) {
        total.failed++
        console.log(`tree ${index}, --profile ${switches.profile} ${switches.kubo.join(' ')}: ${messageOf(error)}`)
      }
      await rm(work, { recursive: true })
      if ((index + 1) % PROGRESS_EVERY === 0) console.log(`${index + 1} compared, ${total.failed} differ`)
    }
    return total
  })
  const { failed, byCar, entries, leftOut } = total
  console.log(`${entries} files, folders and links were read the same by either, the roots of ${byCar} from CAR files`)
  console.log(`${leftOut} links that lead out of their tree were left out by p2p, and named`)
  console.log(`${count - failed} of ${count} agree`)
  if (failed > 0) process.exitCode = 1
}

/** Two nodes of Kubo, each of which reads what the other's profile gives, and two of `p2p`, one to import, one to read. */
async function startSides(scope: CleanUpScope): Promise<(profile: KuboProfile) => Sides> {
  const kubo = {
    'unixfs-v1-2025': await startKubo(scope, { profile: 'unixfs-v1-2025' }),
    'unixfs-v0-2015': await startKubo(scope, { profile: 'unixfs-v0-2015' }),
  }
  const { node: p2pImports } = await makeNode(scope, { serves: true })
  const { node: p2pReads } = await makeNode(scope)
  return (profile) => {
    const other = profile === 'unixfs-v1-2025' ? 'unixfs-v0-2015' : 'unixfs-v1-2025'
    return { kuboImports: kubo[profile], kuboReads: kubo[other], p2pImports, p2pReads }
  }
}

await main()
