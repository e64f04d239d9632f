import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { StoreUsage } from '../../src/blockstore/store-usage.ts'
import { hasCode } from '../../src/common/errors.ts'
import { KiB } from '../../src/common/units.ts'
import { Collector, type Quota } from '../../src/pin/collector.ts'
import { randomBlock } from '../support/blocks.ts'
import { type KeptRepo, makeKeptRepo } from './kept-repo.ts'

async function withQuota(repo: KeptRepo, quota: Quota) {
  const usage = await StoreUsage.open(repo.database.space('usage'), 'boot')
  repo.onChange(usage.change)
  const told: { bytes: number; evicted: number }[] = []
  const errors: unknown[] = []
  const collector = new Collector(repo, {
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
  assert.deepEqual(told, [{ bytes: 40 * KiB, evicted: 3 }])
  assert.deepEqual(await Promise.all(kept.map((cid) => repo.pins.has(cid))), [true, false, false, false])
  assert.equal(await repo.pins.has(pinned), true)
  assert.equal(await repo.blocks.has(loose.cid), false)
  assert.deepEqual(await usage.measure(repo.blocks), { blocks: 2, bytes: 20 * KiB })
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
