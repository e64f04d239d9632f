import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mapBounded } from '../../src/common/concurrency.ts'

test('results come in the order of the items, with at most so many calls under way', async () => {
  let running = 0
  let most = 0
  const results = await mapBounded([5, 1, 4, 2, 3], 2, async (item) => {
    most = Math.max(most, ++running)
    for (let turn = 0; turn < item; turn++) await Promise.resolve()
    running--
    return item * 10
  })
  assert.deepEqual(results, [50, 10, 40, 20, 30])
  assert.equal(most, 2)
  assert.deepEqual(await mapBounded([], 2, async () => 1), [])
})

test('after a failure nothing new starts, and it is thrown once what had begun has ended', async () => {
  const failure = new Error('second')
  const started: number[] = []
  const ended: number[] = []
  const mapped = mapBounded([1, 2, 3, 4], 2, async (item) => {
    started.push(item)
    await Promise.resolve()
    if (item === 2) throw failure
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    ended.push(item)
  })
  await assert.rejects(mapped, failure)
  assert.deepEqual(started, [1, 2])
  assert.deepEqual(ended, [1])
})
