import assert from 'node:assert/strict'
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { DiskBlockStore } from '../../src/blockstore/disk-blockstore.ts'
import { References } from '../../src/blockstore/references.ts'
import { systemClock } from '../../src/common/clock.ts'
import { openNode } from '../../src/node/open.ts'
import { checkRepo } from '../../src/pin/check.ts'
import { collectGarbage } from '../../src/pin/gc.ts'
import { Pins } from '../../src/pin/pins.ts'
import { resolveLocation } from '../../src/repo/location.ts'
import { openRepo } from '../../src/repo/repo.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'

/** The repo of a fixture, brought to this version. */
async function migrated(t: TestContext, fixture: string) {
  const folder = join(await makeTempDir(t), 'repo')
  await cp(join('fixtures', fixture), folder, { recursive: true })
  const location = resolveLocation({ repo: folder, env: {}, home: '/', cwd: '/' })
  const command = 'p2p test'
  // Twice: the second run finds nothing left to do.
  for (const _ of ['migrates', 'opens']) {
    const node = await openNode({ location, command, holdTimeoutMs: 0, role: 'client', bootstrap: [], listen: [] })
    await node.close()
    assert.equal(await readFile(location.versionFile, 'utf8'), '3\n')
  }

  const repo = await openRepo({ location, command, waitMs: 0 })
  cleanUpAfter(t, () => repo.close())
  const blocks = await DiskBlockStore.open(repo.blocksDir, repo.database)
  cleanUpAfter(t, () => blocks.close())
  const references = new References(repo.database)
  const pins = new Pins(repo.database, systemClock)
  return { blocks, references, pins, leftovers: async () => [] }
}

test('a repo of the first version keeps its pins, and gets their index', async (t) => {
  const parts = await migrated(t, 'repo-v1')
  const found = { blocks: 4, bytes: 3161, references: 0, pins: 1, problems: 0, mended: 0 }
  assert.deepEqual(await checkRepo(parts), found)
  assert.equal((await collectGarbage(parts)).blocks, 0)
})

test('a repo of the second version keeps its small blocks in files, and collects them', async (t) => {
  const parts = await migrated(t, 'repo-v2')
  const found = { blocks: 5, bytes: 198, references: 0, pins: 1, problems: 0, mended: 0 }
  assert.deepEqual(await checkRepo(parts), found)
  assert.equal((await collectGarbage(parts)).blocks, 1)
  assert.deepEqual(await checkRepo(parts), { ...found, blocks: 4, bytes: 188 })
})
