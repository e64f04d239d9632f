import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyedLock } from '../../src/common/keyed-lock.ts'

test('work under one key runs in order, under other keys beside it, and goes on after a failure', async () => {
  const lock = new KeyedLock()
  const events: string[] = []
  let release!: () => void
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const first = lock.run('a', async () => {
    events.push('a1 starts')
    await held
    events.push('a1 ends')
    throw new Error('a1 failed')
  })
  const second = lock.run('a', async () => {
    events.push('a2')
    return 2
  })
  await lock.run('b', async () => {
    events.push('b')
  })
  release()
  await assert.rejects(first, /a1 failed/)
  assert.equal(await second, 2)
  assert.deepEqual(events, ['a1 starts', 'b', 'a1 ends', 'a2'])
})
