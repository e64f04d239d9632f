import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RateWindow } from '../../src/common/rate-window.ts'

test('the rate is that of the last five complete seconds', () => {
  const window = new RateWindow()
  for (let second = 100; second < 105; second++) {
    window.add(600, second * 1000)
    window.add(400, second * 1000 + 999)
  }
  assert.equal(window.bytesPerSecond(104_999), 800)
  assert.equal(window.bytesPerSecond(105_000), 1000)
  window.add(5000, 105_500)
  assert.equal(window.bytesPerSecond(105_999), 1000)
  assert.equal(window.bytesPerSecond(106_000), (4 * 1000 + 5000) / 5)
  assert.equal(window.bytesPerSecond(110_999), 1000)
  assert.equal(window.bytesPerSecond(111_000), 0)
  assert.equal(window.bytesPerSecond(100_000_000), 0)
})
