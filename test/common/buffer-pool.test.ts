import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from '../../src/common/buffer-pool.ts'
import { MiB } from '../../src/common/units.ts'

test('a buffer is used again once all its parts are given back, and not before', () => {
  const pool = new BufferPool(4 * MiB)
  const first = pool.take(MiB)
  pool.lend(first, 200)
  const parts = [first.subarray(0, 100), first.subarray(100, 200)]
  pool.give(parts[0]!)
  assert.notEqual(pool.take(MiB).buffer, first.buffer)
  pool.give(parts[1]!)
  const second = pool.take(MiB - 5)
  assert.equal(second.buffer, first.buffer)
  assert.equal(second.byteLength, MiB - 5)
})

test('what somebody keeps, was never split, or is given back twice is not used again', () => {
  const pool = new BufferPool(4 * MiB)
  const kept = pool.take(MiB)
  pool.lend(kept, kept.byteLength)
  pool.keep(kept)
  pool.give(kept)
  const whole = pool.take(MiB)
  pool.give(whole)
  const twice = pool.take(MiB)
  pool.lend(twice, twice.byteLength)
  pool.give(twice)
  pool.give(twice)
  const taken = [pool.take(MiB), pool.take(MiB)]
  assert.deepEqual(
    taken.map(({ buffer }) => buffer === twice.buffer),
    [true, false],
  )
  for (const { buffer } of taken) assert.ok(buffer !== kept.buffer && buffer !== whole.buffer)
})

test('no more than the limit lies idle, and other sizes are not pooled', () => {
  const pool = new BufferPool(2 * MiB)
  const buffers = Array.from({ length: 3 }, () => pool.take(MiB))
  for (const buffer of buffers) pool.lend(buffer, buffer.byteLength)
  for (const buffer of buffers) pool.give(buffer)
  const again = new Set(Array.from({ length: 3 }, () => pool.take(MiB).buffer))
  assert.equal(buffers.filter(({ buffer }) => again.has(buffer)).length, 1)
  const large = pool.take(3 * MiB)
  pool.lend(large, large.byteLength)
  pool.give(large)
  assert.notEqual(pool.take(3 * MiB).buffer, large.buffer)
})

test('memory of a shared pool can be seen by other threads, and is used again', () => {
  const pool = new BufferPool(2 * MiB, { shared: true })
  const first = pool.take(MiB)
  assert.ok(first.buffer instanceof SharedArrayBuffer)
  pool.lend(first, MiB)
  pool.give(first)
  assert.equal(pool.take(MiB).buffer, first.buffer)
})
