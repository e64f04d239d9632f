import assert from 'node:assert/strict'
import { cp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { FsBlockStore } from '../../src/blockstore/fs-blockstore.ts'
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

test('a repo of the first version keeps its pins, and gets their index', async (t) => {
  const folder = join(await makeTempDir(t), 'repo')
  await cp('fixtures/repo-v1', folder, { recursive: true })
  const location = resolveLocation({ repo: folder, env: {}, home: '/', cwd: '/' })
  const command = 'p2p test'
  // Twice: the second run finds nothing left to do.
  for (const _ of ['migrates', 'opens']) {
    const node = await openNode({ location, command, holdTimeoutMs: 0, role: 'client', bootstrap: [], listen: [] })
    await node.close()
    assert.equal(await readFile(location.versionFile, 'utf8'), '2\n')
  }

  const repo = await openRepo({ location, command, waitMs: 0 })
  cleanUpAfter(t, () => repo.close())
  const blocks = await FsBlockStore.open(repo.blocksDir)
  const references = new References(repo.database)
  const pins = new Pins(repo.database, systemClock)
  const parts = { blocks, references, pins, leftovers: async () => [] }
  const found = { blocks: 4, bytes: 3161, references: 0, pins: 1, problems: 0, mended: 0 }
  assert.deepEqual(await checkRepo(parts), found)
  assert.equal((await collectGarbage(parts)).blocks, 0)
})
