import assert from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { test } from 'node:test'
import { startDeadline } from '../../src/common/deadline.ts'

test('a deadline aborts when its time is up, and says so', async () => {
  const keepAlive = setInterval(() => {}, 1000)
  const deadline = startDeadline(1)
  await once(deadline.signal, 'abort')
  clearInterval(keepAlive)
  assert.equal(deadline.expired, true)
  assert.equal(deadline.signal.reason.name, 'TimeoutError')
})

test('a deadline passes on the reason of the caller', () => {
  const controller = new AbortController()
  const before = startDeadline(60_000, controller)
  const reason = new Error('not wanted')
  controller.abort(reason)
  const after = startDeadline(60_000, controller)
  for (const deadline of [before, after]) {
    assert.equal(deadline.signal.reason, reason)
    assert.equal(deadline.expired, false)
    deadline.release()
  }
})

test('release leaves nothing on the signal of the caller and aborts nothing; cancel aborts', () => {
  const controller = new AbortController()
  const released = startDeadline(60_000, controller)
  const cancelled = startDeadline(60_000, controller)
  released.release()
  cancelled.cancel()
  assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
  assert.equal(released.signal.aborted, false)
  assert.equal(cancelled.signal.aborted, true)
  assert.equal(cancelled.expired, false)
})
