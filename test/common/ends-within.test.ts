import assert from 'node:assert/strict'
import { it } from 'node:test'
import { endsWithin } from '../../src/common/ends-within.ts'

it('is true for work that ends', async () => {
  assert.equal(await endsWithin(Promise.resolve(), 60_000), true)
})

it('is false for work that hangs', async () => {
  assert.equal(await endsWithin(new Promise(() => {}), 1), false)
})

it('passes a failure on', async () => {
  await assert.rejects(endsWithin(Promise.reject(new Error('broken')), 60_000), /broken/)
})
