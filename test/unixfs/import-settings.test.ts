import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hashName } from '../../src/dag/hashes.ts'
import { chunksOf, parseChunker } from '../../src/unixfs/chunker.ts'
import { hashNames, type ImportSwitches, importSettings } from '../../src/unixfs/import-settings.ts'
import { randomBytes } from '../support/bytes.ts'

async function chunkSizes(content: Uint8Array, pieceBytes: number, chunker: string): Promise<number[]> {
  const pieces = async function* () {
    for (let at = 0; at < content.length; at += pieceBytes) yield content.subarray(at, at + pieceBytes)
  }
  const chunks: Uint8Array[] = []
  for await (const chunk of chunksOf(pieces(), parseChunker(chunker))) chunks.push(chunk)
  assert.deepEqual(Buffer.concat(chunks), Buffer.from(content))
  return chunks.map(({ length }) => length)
}

test('switches change one thing in a profile', () => {
  const v1 = importSettings()
  assert.deepEqual(importSettings({ profile: 'unixfs-v1-2025' }), v1)
  assert.deepEqual(importSettings({ trickle: true }), { ...v1, layout: 'trickle' })
  assert.deepEqual(importSettings({ cidVersion: 0 }), { ...v1, cidVersion: 0 })
  assert.deepEqual(importSettings({ inlineLimit: 64 }), v1, 'without inline')
  assert.equal(importSettings({ inline: true }).inlineLimit, 32)
  const v0 = importSettings({ profile: 'unixfs-v0-2015', cidVersion: 1 })
  assert.equal(v0.rawLeaves, false, 'the profile says so, whatever the version')
})

test('a hash that an import takes is told of by the same name', () => {
  for (const hash of hashNames()) assert.equal(hashName(importSettings({ hash }).hash), hash)
  assert.ok(hashNames().includes('blake2b-384'))
  assert.ok(hashNames().includes('blake2b-160'))
  for (const name of ['keccak-384', 'blake2s-248', 'blake2b-152'])
    assert.ok(!hashNames().includes(name), 'Kubo cannot make it')
})

test('what Kubo refuses, and what would not end, is refused with a way out', () => {
  const refused: ImportSwitches[] = [
    { profile: 'unixfs-v2' },
    { profile: 'toString' },
    { cidVersion: 2 },
    { hash: 'md5' },
    { hash: 'identity' },
    { cidVersion: 0, hash: 'sha2-512' },
    { profile: 'unixfs-v0-2015', hash: 'sha2-512' },
    { maxFileLinks: 1 },
    { maxDirectoryLinks: -1 },
    { maxHamtFanout: 4 },
    { maxHamtFanout: 100 },
    { maxHamtFanout: 2048 },
    { inline: true, inlineLimit: 129 },
    { chunker: 'size-0' },
    { chunker: 'size-2096897' },
    { chunker: 'size' },
    { chunker: 'rabin-15-16-17' },
    { chunker: 'rabin-64-32-128' },
    { chunker: 'rabin-16-32-2096897' },
    { chunker: 'rabin-47' },
    { chunker: 'buzhash-5' },
    { chunker: 'fixed' },
  ]
  for (const switches of refused) {
    assert.throws(
      () => importSettings(switches),
      ({ code, hint }) => code === 'usage' && hint.length > 0,
      JSON.stringify(switches),
    )
  }
  for (const chunker of ['size-1', 'size-2096896', 'rabin', 'rabin-48', 'rabin-16-17-18', 'buzhash']) {
    importSettings({ chunker })
  }
})

test('how content comes in pieces does not move the cuts, and all of it is in the chunks', async () => {
  const content = randomBytes('chunks', 1_500_000)
  for (const chunker of ['size-262144', 'rabin', 'rabin-65536-131072-262144', 'buzhash']) {
    const whole = await chunkSizes(content, content.length, chunker)
    assert.ok(whole.length > 2, chunker)
    for (const pieceBytes of [65_536, 99_991, 1_048_576]) {
      assert.deepEqual(await chunkSizes(content, pieceBytes, chunker), whole, chunker)
    }
  }
})

test('chunks are within their bounds, and what is inserted moves only the cuts near it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: 20_000 }), async (at) => {
      const content = randomBytes('insert', 20_000)
      const changed = Buffer.concat([content.subarray(0, at), Buffer.from('inserted'), content.subarray(at)])
      const before = await chunkSizes(content, 5000, 'rabin-64-256-1024')
      const after = await chunkSizes(changed, 7000, 'rabin-64-256-1024')
      assert.ok(before.slice(0, -1).every((size) => size >= 64 && size <= 1024))
      assert.ok(before.filter((size) => after.includes(size)).length > before.length / 2)
    }),
    { numRuns: 20 },
  )
})
