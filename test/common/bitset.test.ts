import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Bitset } from '../../src/common/bitset.ts'

test('a bitset holds what was added, far apart or side by side', () => {
  const set = new Bitset()
  for (const index of [0, 31, 32, 100_000]) assert.equal(set.add(index), true)
  assert.equal(set.add(31), false, 'it was there')
  assert.deepEqual(
    [0, 1, 30, 31, 32, 33, 99_999, 100_000, 2_000_000].filter((index) => set.has(index)),
    [0, 31, 32, 100_000],
  )
  assert.equal(set.delete(32), true)
  assert.equal(set.delete(33), false)
  assert.equal(set.delete(2_000_000), false)
  assert.deepEqual([set.has(31), set.has(32)], [true, false])
  set.clear()
  assert.equal(set.has(100_000), false)
})
