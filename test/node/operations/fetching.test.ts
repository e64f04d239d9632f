import assert from 'node:assert/strict'
import test from 'node:test'
import { systemClock } from '../../../src/common/clock.ts'
import { hasCode, P2PError } from '../../../src/common/errors.ts'
import { parseRef } from '../../../src/dag/ref.ts'
import { Fetching } from '../../../src/node/operations/fetching.ts'
import { randomBlock } from '../../support/blocks.ts'
import { MemoryBlockStore } from '../../support/memory-blockstore.ts'
import { makeNetwork } from './one-peer-network.ts'

/** Looks at two nodes, with a store that takes nothing. @returns how often it was asked to */
async function lookAt(code: 'disk-full' | 'io'): Promise<number> {
  const blocks = [randomBlock('one', 10), randomBlock('other', 10)]
  const store = new MemoryBlockStore()
  let puts = 0
  store.put = async () => {
    puts++
    throw new P2PError(code, 'No')
  }
  const { network } = makeNetwork(async (cid) => blocks.find((block) => block.cid.equals(cid))!.bytes)
  const fetching = new Fetching({ store, clock: systemClock, network }, parseRef(blocks[0]!.cid.toString()), {})
  try {
    for (const { cid, bytes } of blocks) assert.deepEqual(await fetching.nodes.fetch(cid), bytes)
  } finally {
    await fetching.close()
  }
  return puts
}

test('what is looked at is not kept in a store that is full, and what else goes wrong with the store is told', async () => {
  assert.equal(await lookAt('disk-full'), 1)
  await assert.rejects(lookAt('io'), (error) => hasCode(error, 'io'))
})
