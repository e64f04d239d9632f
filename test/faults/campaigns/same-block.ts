/** Many write the same block at the same time, in one process and by commands through one holder, while others read. */

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DiskBlockStore } from '../../../src/blockstore/disk-blockstore.ts'
import { MAX_PACKED_BYTES } from '../../../src/blockstore/pack-format.ts'
import { sharding } from '../../../src/blockstore/sharding.ts'
import { KiB } from '../../../src/common/units.ts'
import { matchesCid } from '../../../src/dag/block.ts'
import { openDatabase } from '../../../src/database/database.ts'
import { randomBlock } from '../../support/blocks.ts'
import { randomBytes } from '../../support/bytes.ts'
import { runP2p, startServe } from '../../support/processes.ts'
import type { Campaign, Findings, Ground } from '../campaign.ts'
import { brokenPromises } from '../repo-check.ts'

const WRITERS = 8
const PUTS = 200
/** In packs, joined for the write and as they are, and a file each. */
const BLOCK_BYTES = [8 * KiB, 70 * KiB, MAX_PACKED_BYTES + 1]

export const sameBlock: Campaign = {
  name: 'same-block',
  title: '8 writers put the same 200 blocks, in one process and by 8 commands through one holder: no torn read',
  atLeast: 2 * WRITERS * PUTS,
  run: async (ground) => {
    const findings: Findings = { points: 0, violations: [], notes: [] }
    await inOneProcess(ground, findings)
    await throughOneHolder(ground, findings)
    return findings
  },
}

async function inOneProcess({ folder, sample }: Ground, findings: Findings): Promise<void> {
  const blocks = join(folder, 'one-process')
  const database = await openDatabase(join(folder, 'one-process-database'))
  const store = await DiskBlockStore.open(blocks, database, {
    onCorrupt: (cid) => findings.violations.push(`one process: ${cid} was torn`),
  })
  const reading = readAll(blocks, findings)
  for (let put = 0; put < sample.count(PUTS); put++) {
    const { cid, bytes } = randomBlock(`same block ${put}`, bytesOf(put))
    const readers = Array.from({ length: WRITERS }, () => store.get(cid))
    const writers = Array.from({ length: WRITERS }, () => store.put(cid, bytes))
    await Promise.all([...writers, ...readers])
    findings.points += WRITERS
    if ((await store.get(cid)) === undefined) findings.violations.push(`one process: ${cid} is not there`)
  }
  findings.notes!.push(`one process: ${await reading.end()} reads of block files meanwhile`)
  await store.close()
  await database.close()
}

async function throughOneHolder({ folder, scope, sample }: Ground, findings: Findings): Promise<void> {
  const [tree, repo] = [join(folder, 'tree'), join(folder, 'repo')]
  const puts = sample.count(PUTS)
  await mkdir(tree)
  for (let put = 0; put < puts; put++) {
    await writeFile(join(tree, String(put)), randomBytes(`through ${put}`, bytesOf(put)))
  }
  const holder = await startServe(scope, repo)
  const commands = await Promise.all(Array.from({ length: WRITERS }, () => runP2p(['add', tree], { repo })))
  await holder.stop()
  const cids = new Set(commands.map(({ stdout }) => stdout.toString().trimEnd()))
  const failed = commands.find(({ code }) => code !== 0)
  if (failed !== undefined) findings.violations.push(`one holder: a command failed: ${failed.stderr}`)
  if (cids.size !== 1) findings.violations.push(`one holder: the CIDs differ: ${[...cids].join(' ')}`)
  findings.violations.push(...(await brokenPromises(repo, [...cids])))
  findings.points += WRITERS * puts
}

function bytesOf(put: number): number {
  return BLOCK_BYTES[put % BLOCK_BYTES.length]!
}

/** Reads every block file under its final name, again and again, behind the store's back. */
function readAll(blocks: string, findings: Findings): { end: () => Promise<number> } {
  let isEnding = false
  let reads = 0
  const reading = (async () => {
    do {
      const names = await readdir(blocks, { recursive: true }).catch(() => [])
      for (const name of names.filter((path) => path.endsWith(sharding.extension))) {
        const bytes = await readFile(join(blocks, name))
        if (!matchesCid(sharding.decode(name), bytes)) findings.violations.push(`${name} was read torn`)
        reads++
      }
    } while (!isEnding)
  })()
  return {
    end: async () => {
      isEnding = true
      await reading
      return reads
    },
  }
}
