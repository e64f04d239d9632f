import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metadataRule } from '../../../src/node/operations/entry-metadata.ts'

test('times are seconds with decimals; before 1970 nanoseconds count from the second before', () => {
  const expected: Record<string, [seconds: number, nanoseconds: number]> = {
    '0': [0, 0],
    '1603539720.000054321': [1_603_539_720, 54_321],
    '1.5': [1, 500_000_000],
    '-1': [-1, 0],
    '-0.25': [-1, 750_000_000],
    '-100.75': [-101, 250_000_000],
  }
  for (const [mtime, [seconds, nanoseconds]] of Object.entries(expected)) {
    assert.deepEqual(metadataRule({ mtime }).given.mtime, { seconds, nanoseconds }, mtime)
  }
})

test('what is given holds before what an entry says, and what it says counts only where it is asked for', () => {
  const entry = { metadata: { mode: 0o600, mtime: { seconds: 7, nanoseconds: 0 } } }
  assert.deepEqual(metadataRule({}).of(entry), { mode: undefined, mtime: undefined })
  assert.deepEqual(metadataRule({ preserveMode: true }).of(entry), { mode: 0o600, mtime: undefined })
  assert.deepEqual(metadataRule({ preserveMode: true, preserveMtime: true, mode: 0o644 }).of(entry), {
    mode: 0o644,
    mtime: entry.metadata.mtime,
  })
})

test('a mode is of twelve bits', () => {
  assert.equal(metadataRule({ mode: 0 }).given.mode, 0)
  assert.equal(metadataRule({ mode: 0o7777 }).given.mode, 0o7777)
  for (const mode of [-1, 0o10000, 0.5]) assert.throws(() => metadataRule({ mode }), { code: 'usage' }, `${mode}`)
})
