/**
 * `npm run test:faults -- [--sample 10th] [--seed S] [campaign…]`: breaks what can break under a repo, and looks whether
 * what was promised still holds. In full, or a part that a seed picks.
 */

import '../../src/common/node20.ts'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { messageOf } from '../../src/common/errors.ts'
import { formatDuration } from '../../src/common/units.ts'
import { withCleanUp } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'
import type { Campaign, Findings } from './campaign.ts'
import { bitFlips } from './campaigns/bit-flips.ts'
import { databaseCalls } from './campaigns/database-calls.ts'
import { descriptors } from './campaigns/descriptors.ts'
import { failingCalls } from './campaigns/failing-calls.ts'
import { fullDisks } from './campaigns/full-disks.ts'
import { gcCycles } from './campaigns/gc-cycles.ts'
import { killed } from './campaigns/killed.ts'
import { powerLoss } from './campaigns/power-loss.ts'
import { repoRaces } from './campaigns/repo-races.ts'
import { sameBlock } from './campaigns/same-block.ts'
import { serving } from './campaigns/serving.ts'
import { signals } from './campaigns/signals.ts'
import { Sample } from './sample.ts'

const campaigns: readonly Campaign[] = [
  killed,
  powerLoss,
  failingCalls,
  databaseCalls,
  serving,
  descriptors,
  fullDisks,
  bitFlips,
  gcCycles,
  sameBlock,
  repoRaces,
  signals,
]

const USAGE = `usage: npm run test:faults -- [--sample <n>th] [--seed <text>] [${campaigns.map(({ name }) => name).join('|')}]…`

/** More than that of one campaign help nobody. */
const MAX_SHOWN = 20

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { sample: { type: 'string', default: '1th' }, seed: { type: 'string' } },
    allowPositionals: true,
  })
  const oneOf = Number(/^([1-9]\d*)th$/.exec(values.sample)?.[1])
  const isKnown = positionals.every((name) => campaigns.some((campaign) => campaign.name === name))
  if (!isKnown || Number.isNaN(oneOf)) throw new Error(USAGE)
  const seed = values.seed ?? String(Date.now())
  const chosen = campaigns.filter(({ name }) => positionals.length === 0 || positionals.includes(name))

  console.log(`${oneOf === 1 ? 'Every point' : `One of ${oneOf} points, seed ${seed}`}`)
  console.log(`Node ${process.versions.node}, ${process.platform}, ${availableParallelism()} cores`)
  for (const campaign of chosen) {
    const isSound = await runCampaign(campaign, new Sample(seed, oneOf))
    if (!isSound) process.exitCode = 1
  }
  if (process.exitCode === 1) console.log(`\nAgain: npm run test:faults -- --sample ${oneOf}th --seed ${seed}`)
}

/** Whether nothing was violated, and the fault has happened often enough for that to mean something. */
async function runCampaign(campaign: Campaign, sample: Sample): Promise<boolean> {
  console.log(`\n${campaign.name}: ${campaign.title}`)
  const startedAt = performance.now()
  let findings: Findings
  try {
    findings = await withCleanUp(async (scope) => {
      return await campaign.run({ scope, folder: await makeTempDir(scope), sample })
    })
  } catch (error) {
    console.log(`  failed: ${messageOf(error)}`)
    return false
  }
  const { points, violations, notes = [] } = findings
  const needed = Math.floor(campaign.atLeast / sample.oneOf)
  for (const note of notes) console.log(`  ${note}`)
  for (const violation of violations.slice(0, MAX_SHOWN)) console.log(`  VIOLATION ${violation}`)
  const tooFew = points < needed ? `, TOO FEW: ${needed} are needed` : ''
  const took = formatDuration(performance.now() - startedAt)
  console.log(`  ${points} points${tooFew}, ${violations.length} violations (took ${took})`)
  return violations.length === 0 && points >= needed
}

await main()
