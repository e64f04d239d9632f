import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BusyTime } from '../../src/common/busy-time.ts'

test('time in which several things went on counts once', () => {
  const busy = new BusyTime()
  busy.begin(0)
  busy.begin(10)
  busy.end(20)
  assert.equal(busy.totalMs(25), 25, 'it is still going on')
  busy.end(30)
  assert.equal(busy.totalMs(100), 30)
  busy.begin(100)
  busy.end(105)
  assert.equal(busy.totalMs(200), 35)
})
