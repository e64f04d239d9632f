/** Whether a repo keeps its promise: every pin's DAG is here, and every block hashes to its name. */

import { decode } from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import { FsBlockStore } from '../../src/blockstore/fs-blockstore.ts'
import { LocalBlockStore } from '../../src/blockstore/local-blockstore.ts'
import { References } from '../../src/blockstore/references.ts'
import { systemClock } from '../../src/common/clock.ts'
import { messageOf } from '../../src/common/errors.ts'
import { DAG_PB } from '../../src/dag/cid.ts'
import { Pins } from '../../src/pin/pins.ts'
import { resolveLocation } from '../../src/repo/location.ts'
import { openRepo } from '../../src/repo/repo.ts'

/** @param acknowledged - CIDs that have to be pinned and complete. @returns what is wrong, a sentence each */
export async function checkRepo(folder: string, acknowledged: readonly string[] = []): Promise<string[]> {
  const location = resolveLocation({ repo: folder, env: {}, home: '/', cwd: '/' })
  try {
    const repo = await openRepo({ location, command: 'check', waitMs: 0 })
    const references = new References(repo.database)
    try {
      const store = new LocalBlockStore(await FsBlockStore.open(repo.blocksDir), references)
      const problems: string[] = []
      const pinned = new Set<string>()
      for await (const { cid, kind } of new Pins(repo.database.space('pin'), systemClock).list()) {
        if (kind !== 'recursive') continue
        pinned.add(cid.toString())
        for (const missing of await missingBelow(cid, store)) problems.push(`${missing} of pin ${cid} is not here`)
      }
      for (const cid of acknowledged) {
        if (!pinned.has(cid)) problems.push(`${cid} was acknowledged and is not pinned`)
      }
      return problems
    } finally {
      references.close()
      await repo.close()
    }
  } catch (error) {
    return [`the repo cannot be opened: ${messageOf(error)}`]
  }
}

async function missingBelow(root: CID, store: LocalBlockStore): Promise<CID[]> {
  const missing: CID[] = []
  const seen = new Set<string>()
  const waiting = [root]
  for (let cid = waiting.pop(); cid !== undefined; cid = waiting.pop()) {
    if (seen.has(cid.toString())) continue
    seen.add(cid.toString())
    const block = await store.get(cid)
    if (block === undefined) missing.push(cid)
    else if (cid.code === DAG_PB) waiting.push(...decode(block).Links.map(({ Hash }) => CID.asCID(Hash)!))
  }
  return missing
}
