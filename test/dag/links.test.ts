import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RAW } from '../../src/dag/cid.ts'
import { linksOf } from '../../src/dag/links.ts'
import { cborBlock, numberedBlock } from '../support/blocks.ts'

test('a map of dag-cbor that looks like a CID is no link, and the links in it are', () => {
  const { cid } = numberedBlock(1)
  // The library takes an object for a CID whose "/" is the same value as its bytes, also when it encodes: "/" comes after.
  const multihash = { code: 18, size: 32, digest: new Uint8Array(32), bytes: new Uint8Array([18, 32]) }
  const lookalike = { _: 'same', bytes: 'same', version: 1, code: RAW, multihash }
  const block = cborBlock({ lookalike, deep: [{ ...lookalike, inside: cid }] })
  const bytes = Buffer.from(Buffer.from(block.bytes).toString('latin1').replaceAll('\x61_', '\x61/'), 'latin1')
  assert.ok(bytes.includes('\x61/'))
  assert.deepEqual(linksOf(block.cid, bytes).map(String), [cid.toString()])
})
