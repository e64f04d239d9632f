import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { matchesCid, whyRefused } from '../../src/dag/block.ts'
import { parseCid, RAW } from '../../src/dag/cid.ts'
import { identityCid } from '../support/blocks.ts'
import { vectors } from '../support/vectors.ts'

const HELLO = Buffer.from('hello world')

function cidOf(code: number, digestBytes: number): CID {
  return CID.createV1(RAW, Digest.create(code, new Uint8Array(digestBytes)))
}

/** The same CID with a digest cut to so many bytes. */
function cut(cid: CID, digestBytes: number): CID {
  const { code, digest } = cid.multihash
  return CID.createV1(RAW, Digest.create(code, digest.subarray(0, digestBytes)))
}

for (const [name, text] of Object.entries(vectors.hashes)) {
  test(`a block by ${name} is the one that Kubo names so, whole or cut to 20 bytes, and no other`, () => {
    const cid = parseCid(text)
    for (const one of [cid, cut(cid, 20)]) {
      assert.equal(whyRefused(one), undefined)
      assert.ok(matchesCid(one, HELLO))
      assert.ok(!matchesCid(one, Buffer.from('hello worle')))
    }
    assert.notEqual(whyRefused(cut(cid, 19)), undefined)
  })
}

test('what Kubo accepts and does not write is read as well', () => {
  // As the Keccak team's own code gives them, and BLAKE2s of Python's hashlib.
  const empty = {
    '0x1a': 'f71837502ba8e10837bdd8d365adb85591895602fc552b48b7390abd',
    '0x1c': '2c23146a63a29acf99e73b88f8c24eaa7dc60aa771780ccc006afbfa8fe2479b2dd2b21362337441ac12b515911957ff',
    '0xb25c': '1fa1291e65248b37b3433475b2a0dd63d54a11ecc4e3e034e7bc1ef4',
  }
  for (const [code, digest] of Object.entries(empty)) {
    const cid = CID.createV1(RAW, Digest.create(Number(code), Buffer.from(digest, 'hex')))
    assert.equal(whyRefused(cid), undefined)
    assert.ok(matchesCid(cid, new Uint8Array(0)), code)
  }
})

test('hash functions that are no longer safe, or not known, are refused', () => {
  const md5 = 0xd5
  const murmur = 0x22
  const sha224 = 0x1013
  const [blake2b152, blake2s152] = [0xb213, 0xb253]
  for (const code of [md5, murmur, sha224, blake2b152, blake2s152, 0xb261, 0x300000]) {
    assert.match(whyRefused(cidOf(code, 32)) ?? '', /not supported/, code.toString(16))
    assert.ok(!matchesCid(cidOf(code, 32), HELLO))
  }
})

test('digests that are too short, or longer than their function gives, are refused', () => {
  assert.match(whyRefused(cidOf(0x12, 19)) ?? '', /below 20 bytes/)
  assert.match(whyRefused(cidOf(0x12, 33)) ?? '', /more than sha2-256 gives/)
  assert.match(whyRefused(cidOf(0x1e, 129)) ?? '', /above 128 bytes/)
  assert.equal(whyRefused(cidOf(0x1e, 128)), undefined)
  assert.match(whyRefused(cidOf(0xb220, 33)) ?? '', /more than blake2b-256 gives/)
})

test('identity data is the block itself, of any length up to 128 bytes', () => {
  for (const length of [0, 1, 128]) {
    const bytes = new Uint8Array(length).fill(7)
    assert.equal(whyRefused(identityCid(bytes)), undefined)
    assert.ok(matchesCid(identityCid(bytes), bytes))
    assert.ok(!matchesCid(identityCid(bytes), new Uint8Array(length + 1).fill(7)))
  }
  assert.match(whyRefused(identityCid(new Uint8Array(129))) ?? '', /above 128 bytes/)
})
