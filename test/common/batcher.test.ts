import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Batcher } from '../../src/common/batcher.ts'

interface Call {
  items: number[]
  finish: (results: number[]) => void
  fail: (reason: unknown) => void
}

/** A batcher whose work is ended by hand. */
function makeBatcher() {
  const calls: Call[] = []
  const batcher = new Batcher<number, number>((items) => {
    return new Promise((finish, fail) => calls.push({ items, finish, fail }))
  })
  return { batcher, calls }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('what is asked for in one turn goes together, what comes meanwhile goes next', async () => {
  const { batcher, calls } = makeBatcher()
  const first = [batcher.add(1), batcher.add(2)]
  await settled()
  const second = [batcher.add(3), batcher.add(4)]
  await settled()
  assert.deepEqual(
    calls.map(({ items }) => items),
    [[1, 2]],
  )
  calls[0]!.finish([10, 20])
  assert.deepEqual(await Promise.all(first), [10, 20])
  await settled()
  assert.deepEqual(calls[1]!.items, [3, 4])
  calls[1]!.finish([30, 40])
  assert.deepEqual(await Promise.all(second), [30, 40])
  await batcher.idle()
  const third = batcher.add(5)
  await settled()
  calls[2]!.finish([50])
  assert.equal(await third, 50)
})

test('a batch that fails fails each of its items, and none of the next', async () => {
  const { batcher, calls } = makeBatcher()
  const failing = [batcher.add(1), batcher.add(2)]
  await settled()
  const next = batcher.add(3)
  calls[0]!.fail(new Error('broken'))
  for (const result of failing) await assert.rejects(result, /broken/)
  await settled()
  calls[1]!.finish([30])
  assert.equal(await next, 30)
})

test('is idle once all that was asked for is done', async () => {
  const { batcher, calls } = makeBatcher()
  await batcher.idle()
  const result = batcher.add(1)
  let isIdle = false
  const idle = batcher.idle().then(() => {
    isIdle = true
  })
  await settled()
  assert.equal(isIdle, false)
  calls[0]!.finish([10])
  await idle
  assert.equal(await result, 10)
})
