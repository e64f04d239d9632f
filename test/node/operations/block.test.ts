import assert from 'node:assert/strict'
import test from 'node:test'
import { blockPut } from '../../../src/node/operations/block.ts'
import { collectGarbage } from '../../../src/pin/gc.ts'
import { makeKeptRepo } from '../../pin/kept-repo.ts'
import { rawBlock } from '../../support/blocks.ts'

test('a block that is being put is no garbage before that is acknowledged', async (t) => {
  const repo = await makeKeptRepo(t)
  const sync = repo.store.sync.bind(repo.store)
  t.mock.method(repo.store, 'sync', async () => {
    await collectGarbage(repo)
    await sync()
  })
  const { cid, bytes } = rawBlock(Buffer.from('block'))
  const content = (async function* () {
    yield bytes
  })()
  assert.equal((await blockPut(repo, { content })).cid, cid.toString())
  assert.deepEqual(await repo.store.get(cid), bytes)
})
