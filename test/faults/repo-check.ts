/** Whether a repo that stands by itself keeps its promise. */

import { DiskBlockStore } from '../../src/blockstore/disk-blockstore.ts'
import { References } from '../../src/blockstore/references.ts'
import { systemClock } from '../../src/common/clock.ts'
import { messageOf } from '../../src/common/errors.ts'
import { parseCid } from '../../src/dag/cid.ts'
import { checkRepo, type Problem } from '../../src/pin/check.ts'
import { Pins } from '../../src/pin/pins.ts'
import { resolveLocation } from '../../src/repo/location.ts'
import { openRepo } from '../../src/repo/repo.ts'

/** @param acknowledged - CIDs that have to be pinned. @returns what is wrong, a sentence each */
export async function brokenPromises(folder: string, acknowledged: readonly string[] = []): Promise<string[]> {
  const location = resolveLocation({ repo: folder, env: {}, home: '/', cwd: '/' })
  try {
    const repo = await openRepo({ location, command: 'check', waitMs: 0 })
    const references = new References(repo.database)
    const blocks = await DiskBlockStore.open(repo.blocksDir, repo.database)
    try {
      const pins = new Pins(repo.database, systemClock)
      const broken: string[] = []
      const onProblem = async (problem: Problem) => {
        if (breaksPromise(problem)) broken.push(describe(problem))
        return false
      }
      await checkRepo({ blocks, references, pins, leftovers: () => blocks.leftovers() }, { onProblem })
      for (const cid of acknowledged) {
        if ((await pins.get(parseCid(cid)))?.kind !== 'recursive') broken.push(`${cid} is acknowledged and not pinned`)
      }
      return broken
    } finally {
      await blocks.close()
      references.close()
      await repo.close()
    }
  } catch (error) {
    return [`the repo cannot be used: ${messageOf(error)}`]
  }
}

/**
 * Of a block that nobody has pinned nothing is promised. What a download leaves is served as long as its files are
 * there: those under 1 MiB are not synced one by one, and a power cut may take them.
 */
function breaksPromise(problem: Problem): boolean {
  return problem.kind === 'unindexed-block' || (problem.kind === 'missing-block' && problem.pin !== 'kept')
}

function describe(problem: Problem): string {
  return 'root' in problem ? `${problem.kind} ${problem.cid} of pin ${problem.root}` : problem.kind
}
