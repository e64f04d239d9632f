import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Traffic } from '../../src/bitswap/traffic.ts'

const NOTHING = { receivedBytes: 0, sentBytes: 0, receivedBytesPerSecond: 0, sentBytesPerSecond: 0 }

test('each peer has its own counts, and all of them stay when it goes', () => {
  let nowMs = 10_000
  const traffic = new Traffic({ monotonicMs: () => nowMs, wallMs: () => 0 })
  traffic.follow('a')
  traffic.received('a', 500)
  traffic.follow('a')
  traffic.sent('a', 10)
  traffic.sent('b', 1000)
  nowMs = 11_000
  assert.deepEqual(traffic.of('a'), {
    receivedBytes: 500,
    sentBytes: 10,
    receivedBytesPerSecond: 100,
    sentBytesPerSecond: 2,
  })
  traffic.forget('a')
  assert.deepEqual(traffic.of('a'), NOTHING)
  assert.deepEqual(traffic.of('b'), NOTHING, 'not followed')
  traffic.received('a', 5)
  assert.deepEqual(traffic.of('a'), NOTHING, 'on its way when it went')
  nowMs = 60_000
  assert.deepEqual(traffic.total(), { ...NOTHING, receivedBytes: 505, sentBytes: 1010 })
})
