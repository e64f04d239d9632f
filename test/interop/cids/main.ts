/**
 * `npm run test:cids -- [--trees 500] [--seed <text>]`: trees at random, imported with switches at random, by `p2p` and by
 * Kubo: the CIDs have to be the same. Nothing is read back here. Prints the seed, which gives the same trees again, and
 * what does not agree.
 */

import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { messageOf } from '../../../src/common/errors.ts'
import { withCleanUp } from '../../support/clean-up.ts'
import { initKubo, type KuboProfile, noKubo } from '../../support/kubo.ts'
import { makeTempDir } from '../../support/temp.ts'
import { compareImports } from './compare.ts'
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
  const failures = await withCleanUp(async (scope) => {
    const folder = await makeTempDir(scope)
    const kubo = new Map<KuboProfile, Awaited<ReturnType<typeof initKubo>>>()
    let failed = 0
    for (let index = 0; index < count; index++) {
      const dice = new Dice(`${seed}/${index}`)
      const switches = randomSwitches(dice)
      const { profile } = switches
      if (!kubo.has(profile)) kubo.set(profile, await initKubo(scope, profile))
      const work = join(folder, String(index))
      await mkdir(work)
      await writeRandomTree(join(work, 'tree'), dice, switches.shape)
      try {
        await compareImports(work, switches, kubo.get(profile)!)
      } catch (error) {
        failed++
        console.log(`tree ${index}, --profile ${profile} ${switches.kubo.join(' ')}: ${messageOf(error)}`)
      }
      await rm(work, { recursive: true })
      if ((index + 1) % PROGRESS_EVERY === 0) console.log(`${index + 1} compared, ${failed} differ`)
    }
    return failed
  })
  console.log(`${count - failures} of ${count} agree`)
  if (failures > 0) process.exitCode = 1
}

await main()
