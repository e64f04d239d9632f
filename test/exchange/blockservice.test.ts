import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { hasCode, P2PError } from '../../src/common/errors.ts'
import { KiB } from '../../src/common/units.ts'
import type { Block } from '../../src/dag/block.ts'
import { BlockService } from '../../src/exchange/blockservice.ts'
import type { Session } from '../../src/exchange/exchange.ts'
import { randomBlock } from '../support/blocks.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'

const BLOCK_BYTES = 256 * KiB

/** A service over an empty store, and a session that has these blocks and writes down what it is asked for. */
function makeService(blocks: Block[]) {
  const asked: string[] = []
  const released: Uint8Array[] = []
  const session = {
    fetch: async (cid: CID) => {
      asked.push(cid.toString())
      return blocks.find((block) => block.cid.equals(cid))!.bytes
    },
    release: (block: Uint8Array) => released.push(block),
  } as unknown as Session
  const store = new MemoryBlockStore()
  const service = new BlockService(store, async () => session)
  return { service, session, store, asked, released }
}

test('a block that is here is not asked for', async () => {
  const block = randomBlock('here', 100)
  const { service, store, asked } = makeService([block])
  await store.put(block.cid, block.bytes)
  assert.deepEqual(await service.fetch(block.cid), block.bytes)
  assert.deepEqual(asked, [])
})

test('a small block that has just come is asked for once, until others have taken its room', async () => {
  const blocks = Array.from({ length: 60 }, (_, index) => randomBlock(`block ${index}`, BLOCK_BYTES))
  const { service, asked } = makeService(blocks)
  const [first, ...others] = blocks
  await service.fetch(first!.cid)
  await service.fetch(first!.cid)
  assert.equal(asked.length, 1)
  for (const { cid } of others) await service.fetch(cid)
  assert.equal(asked.length, blocks.length)
  await service.fetch(others.at(-1)!.cid)
  assert.equal(asked.length, blocks.length)
  await service.fetch(first!.cid)
  assert.equal(asked.length, blocks.length + 1)
})

test('the memory of a large block goes back to the session, that of one which is kept does not', async () => {
  const [small, large] = [randomBlock('small', BLOCK_BYTES), randomBlock('large', 4 * BLOCK_BYTES)]
  const { service, released } = makeService([small, large])
  for (const { cid } of [small, large]) service.release(await service.fetch(cid))
  assert.deepEqual(released, [large.bytes])
})

test('a block that cannot be read here is asked for, and without anyone to ask that is the error', async () => {
  const block = randomBlock('unreadable', 100)
  const broken = {
    get: async () => {
      throw new P2PError('io', 'the disk is gone')
    },
  }
  const { session } = makeService([block])
  assert.deepEqual(await new BlockService(broken, async () => session).fetch(block.cid), block.bytes)
  await assert.rejects(new BlockService(broken, () => undefined).fetch(block.cid), /the disk is gone/)
})

test('without anyone to ask, a block that is not here is an error that says so', async () => {
  const service = new BlockService(new MemoryBlockStore(), () => undefined)
  const { cid } = randomBlock('nowhere', 10)
  await assert.rejects(service.fetch(cid), (error) => hasCode(error, 'not-found') && error.message.includes(`${cid}`))
})
