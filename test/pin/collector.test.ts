import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { shardOf } from '../../src/blockstore/sharding.ts'
import { StoreUsage } from '../../src/blockstore/store-usage.ts'
import { hasCode } from '../../src/common/errors.ts'
import { KiB } from '../../src/common/units.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { Collector, type Quota } from '../../src/pin/collector.ts'
import { rootsToEvict } from '../../src/pin/eviction.ts'
import { randomBlock } from '../support/blocks.ts'
import { type KeptRepo, makeKeptRepo } from './kept-repo.ts'

async function withQuota(repo: KeptRepo, quota: Quota, sweep = async () => {}) {
  const usage = await StoreUsage.open(repo.database.space('usage'), 'boot')
  repo.onChange(usage.change)
  const told: { bytes: number; evicted: number }[] = []
  const errors: unknown[] = []
  const parts = { ...repo, memory: { sweep } }
  const collector = new Collector(parts, {
    quota,
    usage,
    onCollected: (event) => told.push(event),
    onError: (error) => errors.push(error),
  })
  return { collector, usage, told, errors }
}

/** Keeps one block of 10 KiB. */
async function keep(repo: KeptRepo, seed: string, kind: 'kept' | 'recursive'): Promise<CID> {
  const { cid, bytes } = randomBlock(seed, 10 * KiB)
  await repo.pins.holding(async (hold) => {
    await hold.over(repo.blocks).put(cid, bytes)
    await repo.pins.add({ cid, bytes: bytes.byteLength, kind }, hold)
  })
  return cid
}

test('above the high-water mark garbage goes, then what downloads left, the longest unused first', async (t) => {
  let now = 0
  const repo = await makeKeptRepo(t, { wallMs: () => ++now, monotonicMs: () => now })
  const kept: CID[] = []
  for (const seed of ['a', 'b', 'c', 'd']) kept.push(await keep(repo, seed, 'kept'))
  const pinned = await keep(repo, 'pinned', 'recursive')
  await repo.pins.touch(kept[0]!)
  const loose = randomBlock('loose', 10 * KiB)
  await repo.blocks.put(loose.cid, loose.bytes)
  const quota = { maxBytes: 60 * KiB, highWater: 0.9, lowWater: 0.6 }
  const { collector, told, usage } = await withQuota(repo, quota)
  await collector.relieve()
  await collector.close()
  assert.deepEqual(told, [{ bytes: 30 * KiB, evicted: 2 }])
  assert.deepEqual(await Promise.all(kept.map((cid) => repo.pins.has(cid))), [true, false, false, true])
  assert.equal(await repo.pins.has(pinned), true)
  assert.equal(await repo.blocks.has(loose.cid), false)
  assert.deepEqual(await usage.measure(repo.blocks), { blocks: 3, bytes: 30 * KiB })
})

test('what downloads left goes only where that is enough for a mark, or for what has to be stored', async (t) => {
  let now = 0
  const repo = await makeKeptRepo(t, { wallMs: () => ++now, monotonicMs: () => now })
  for (const seed of ['pinned 1', 'pinned 2', 'pinned 3', 'pinned 4']) await keep(repo, seed, 'recursive')
  for (const seed of ['kept 1', 'kept 2']) await keep(repo, seed, 'kept')
  const rows: [what: string, marks: Pick<Quota, 'highWater' | 'lowWater'>, reserved: number, evicted: number[]][] = [
    ['no mark can be reached', { highWater: 0.6, lowWater: 0.5 }, 0, []],
    ['the high mark can be', { highWater: 0.9, lowWater: 0.6 }, 0, [1]],
    ['there is room', { highWater: 0.9, lowWater: 0.6 }, 10 * KiB, []],
    ['only what is asked for can be had', { highWater: 0.6, lowWater: 0.5 }, 20 * KiB, [1]],
  ]
  for (const [what, marks, reserved, evicted] of rows) {
    const { collector, told } = await withQuota(repo, { maxBytes: 60 * KiB, ...marks })
    await (reserved === 0 ? collector.relieve() : collector.reserve(reserved))
    assert.deepEqual(
      told.map((event) => event.evicted),
      evicted,
      what,
    )
  }
})

test('a block that two downloads have goes with the one used last', async (t) => {
  let now = 0
  const repo = await makeKeptRepo(t, { wallMs: () => ++now, monotonicMs: () => now })
  const shared = randomBlock('shared', 10 * KiB)
  for (const seed of ['one', 'other']) {
    const { cid, bytes } = randomBlock(seed, 1 * KiB)
    await repo.pins.holding(async (hold) => {
      const store = hold.over(repo.blocks)
      await store.put(shared.cid, shared.bytes)
      await store.put(cid, bytes)
      await repo.pins.add({ cid, bytes: 0, kind: 'kept' }, hold)
    })
  }
  const wanted = async (...bytes: number[]) => (await rootsToEvict(repo, bytes)).length
  assert.deepEqual([await wanted(1), await wanted(1 * KiB + 1), await wanted(13 * KiB), await wanted(0)], [1, 2, 0, 0])
})

test('whoever is ended does not wait for a collection, which forgets imports of what it removed', async (t) => {
  const repo = await makeKeptRepo(t)
  const garbage = randomBlock('garbage', 10 * KiB)
  await repo.blocks.put(garbage.cid, garbage.bytes)
  let goOn = () => {}
  const held = new Promise<void>((resolve) => {
    goOn = resolve
  })
  const ended = new AbortController()
  const { collector, told } = await withQuota(repo, { maxBytes: 10 * KiB, highWater: 0.5, lowWater: 0.5 }, async () => {
    ended.abort(new Error('ended by the user'))
    await held
  })
  const options = { signal: ended.signal }
  const collecting = collector.relieve()
  await assert.rejects(collector.reserve(1, options), /ended by the user/)
  await collector.relieve(options)
  await assert.rejects(collector.collect(options), /ended by the user/)
  assert.deepEqual(told, [])
  goOn()
  await collecting
  assert.deepEqual(told, [{ bytes: 10 * KiB, evicted: 0 }])
  await collector.close()
})

test('what is kept may fill the store to its limit, and not beyond', async (t) => {
  const repo = await makeKeptRepo(t)
  await keep(repo, 'pinned', 'recursive')
  const { collector } = await withQuota(repo, { maxBytes: 20 * KiB, highWater: 1, lowWater: 1 })
  await collector.reserve(10 * KiB)
  await assert.rejects(collector.reserve(10 * KiB + 1), (error) => hasCode(error, 'disk-full'))
  await collector.close()
  const unlimited = await withQuota(repo, { maxBytes: null, highWater: 1, lowWater: 1 })
  await unlimited.collector.reserve(2 ** 50)
})

test('what the store takes is counted once, kept up with, and remembered within one boot', async (t) => {
  const repo = await makeKeptRepo(t)
  const space = repo.database.space('usage')
  await keep(repo, 'first', 'recursive')
  const usage = await StoreUsage.open(space, 'boot')
  repo.onChange(usage.change)
  const one = { blocks: 1, bytes: 10 * KiB }
  assert.deepEqual(await usage.measure(repo.blocks), one)
  const { cid, bytes } = randomBlock('second', 5 * KiB)
  await repo.blocks.put(cid, bytes)
  assert.deepEqual(await usage.measure(repo.blocks), { blocks: 2, bytes: 15 * KiB })
  await repo.blocks.delete(cid)
  await repo.blocks.delete(cid)
  assert.deepEqual(await usage.measure(repo.blocks), one)
  await usage.close()

  const next = await StoreUsage.open(space, 'boot')
  // It is not looked at again.
  await repo.blocks.put(cid, bytes)
  assert.deepEqual(await next.measure(repo.blocks), one)
  await next.close()
  const other = await StoreUsage.open(space, 'other boot')
  assert.deepEqual(await other.measure(repo.blocks), { blocks: 2, bytes: 15 * KiB })
  // A run that was killed has left nothing.
  const killed = await StoreUsage.open(space, 'other boot')
  assert.deepEqual(await killed.measure(repo.blocks), { blocks: 2, bytes: 15 * KiB })
})

test('what changes while a shard is counted, and a shard that is made meanwhile, is counted once', async (t) => {
  const repo = await makeKeptRepo(t)
  const usage = await StoreUsage.open(repo.database.space('usage'), 'boot')
  repo.onChange(usage.change)
  const present = randomBlock('present', KiB)
  await repo.blocks.put(present.cid, present.bytes)
  const shardOfBlock = ({ cid }: { cid: CID }) => shardOf(blockKey(cid))
  const others = Array.from({ length: 5000 }, (_, index) => randomBlock(`other ${index}`, 20))
  const sameShard = others.find((block) => shardOfBlock(block) === shardOfBlock(present))
  const otherShard = others.find((block) => shardOfBlock(block) !== shardOfBlock(present))
  assert.ok(sameShard !== undefined && otherShard !== undefined)
  let isListed = false
  const counted = await usage.measure({
    shardNames: () => repo.blocks.shardNames(),
    usageOf: async (shard) => {
      const before = await repo.blocks.usageOf(shard)
      if (isListed) return before
      isListed = true
      await repo.blocks.put(sameShard.cid, sameShard.bytes)
      await repo.blocks.put(otherShard.cid, otherShard.bytes)
      return before
    },
  })
  assert.deepEqual(counted, { blocks: 3, bytes: KiB + 40 })
  assert.deepEqual(await usage.measure(repo.blocks), counted)
})
