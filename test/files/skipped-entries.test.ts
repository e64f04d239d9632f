import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SkippedEntries } from '../../src/files/skipped-entries.ts'

test('all entries that are left out are counted, the first of them are named, and none at length', () => {
  const skipped = new SkippedEntries()
  skipped.add('caf\udce9', 'its name')
  for (let index = 1; index < 5000; index++) skipped.add(`${index} ${'\udce9'.repeat(5000)}`, 'r'.repeat(5000))
  assert.equal(skipped.count, 5000)
  assert.equal(skipped.named.length, 1000)
  assert.deepEqual(skipped.named[0], { name: 'caf\udce9', reason: 'its name' })
  assert.deepEqual(skipped.named[1], { name: `1 ${'\udce9'.repeat(1022)}…`, reason: `${'r'.repeat(1024)}…` })
})
