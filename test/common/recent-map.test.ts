import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecentMap } from '../../src/common/recent-map.ts'

test('the latest entries are there, the oldest are forgotten, and a newer value hides an older one', () => {
  const map = new RecentMap<number, string | undefined>(4)
  for (let key = 0; key < 10; key++) map.set(key, `value ${key}`)
  const present = Array.from({ length: 10 }, (_, key) => key).filter((key) => map.has(key))
  assert.deepEqual(present, [4, 5, 6, 7, 8, 9])
  assert.equal(map.get(4), 'value 4')
  map.set(4, undefined)
  assert.equal(map.get(4), undefined)
  assert.equal(map.has(4), true)
  assert.equal(map.has(0), false)
  map.clear()
  assert.equal(map.has(4), false)
})

test('entries count by their weight', () => {
  const map = new RecentMap<string, number>(10)
  map.set('heavy', 1, 9)
  map.set('light', 2, 1)
  map.set('next', 3, 10)
  assert.deepEqual(
    ['heavy', 'light', 'next'].map((key) => map.has(key)),
    [false, false, true],
  )
})
