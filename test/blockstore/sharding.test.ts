import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { sharding, shardOf } from '../../src/blockstore/sharding.ts'
import { blockKey, RAW } from '../../src/dag/cid.ts'
import { randomBytes } from '../support/bytes.ts'

test('a key leads to the shard that the block lies in, however long its digest', () => {
  for (let length = 20; length <= 64; length++) {
    const cid = CID.createV1(RAW, Digest.create(0x13, randomBytes(`digest ${length}`, length)))
    const { dir, file } = sharding.encode(cid)
    assert.equal(shardOf(blockKey(cid)), dir)
    assert.equal(dir.length, 2)
    assert.deepEqual(sharding.decode(file).multihash.bytes, cid.multihash.bytes)
  }
})
