/** What every block store must do, run over each of them by `suite.test.ts`. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import type { BlockStore } from '../../src/blockstore/blockstore.ts'
import { hasCode } from '../../src/common/errors.ts'
import { MiB } from '../../src/common/units.ts'
import { type BlockKey, blockKey, DAG_PB, RAW } from '../../src/dag/cid.ts'
import { identityCid, randomBlock } from '../support/blocks.ts'
import type { CleanUpScope } from '../support/clean-up.ts'

export interface StoreUnderTest {
  store: BlockStore
  /** Changes one bit of a block behind the store's back. */
  damage(cid: CID): Promise<void>
}

export function blockstoreSuite(name: string, make: (scope: CleanUpScope) => Promise<StoreUnderTest>): void {
  describe(name, () => {
    test('does not have what was never put', async (t) => {
      const { store } = await make(t)
      const { cid } = randomBlock('absent', 100)
      assert.equal(await store.has(cid), false)
      assert.equal(await store.size(cid), undefined)
      assert.equal(await store.get(cid), undefined)
      await store.delete(cid)
      assert.deepEqual(await keysOf(store), [])
    })

    for (const byteCount of [0, 1, 4096, MiB - 1, MiB, 2 * MiB]) {
      test(`gives back a block of ${byteCount} bytes`, async (t) => {
        const { store } = await make(t)
        const { cid, bytes } = randomBlock('round trip', byteCount)
        await store.put(cid, bytes)
        await store.sync()
        assert.equal(await store.has(cid), true)
        assert.equal(await store.size(cid), byteCount)
        assert.deepEqual(Buffer.from((await store.get(cid))!), Buffer.from(bytes))
      })
    }

    test('knows a block by its multihash, whatever its CID says of it', async (t) => {
      const { store } = await make(t)
      const { cid, bytes } = randomBlock('names', 300)
      await store.put(CID.createV0(cid.multihash as Digest.Digest<0x12, number>), bytes)
      assert.deepEqual(await keysOf(store), [blockKey(cid)])
      for (const codec of [RAW, DAG_PB]) {
        assert.equal((await store.get(CID.createV1(codec, cid.multihash)))?.byteLength, 300)
      }
    })

    test('answers identity CIDs from the CID and stores nothing', async (t) => {
      const { store } = await make(t)
      const cid = identityCid(Buffer.from('inside'))
      await store.put(cid, Buffer.from('inside'))
      assert.equal(await store.has(cid), true)
      assert.equal(await store.size(cid), 6)
      assert.equal(Buffer.from((await store.get(cid))!).toString(), 'inside')
      await store.delete(cid)
      assert.deepEqual(await keysOf(store), [])
    })

    test('refuses what it could not verify', async (t) => {
      const { store } = await make(t)
      const unknownHash = CID.createV1(RAW, Digest.create(0xd5, new Uint8Array(32)))
      const hugeIdentity = identityCid(new Uint8Array(200))
      for (const cid of [unknownHash, hugeIdentity]) {
        await assert.rejects(store.put(cid, new Uint8Array(200)), (error) => hasCode(error, 'bad-ref'))
        assert.equal(await store.has(cid), false)
        assert.equal(await store.get(cid), undefined)
      }
    })

    test('lists every block once', async (t) => {
      const { store } = await make(t)
      const blocks = Array.from({ length: 200 }, (_, index) => randomBlock(`listed ${index}`, 50 + index))
      for (const { cid, bytes } of [...blocks, ...blocks]) await store.put(cid, bytes)
      assert.deepEqual((await keysOf(store)).sort(), blocks.map(({ cid }) => blockKey(cid)).sort())
    })

    test('does not have what was deleted', async (t) => {
      const { store } = await make(t)
      const { cid, bytes } = randomBlock('deleted', 10)
      await store.put(cid, bytes)
      await store.delete(cid)
      await store.sync()
      assert.equal(await store.has(cid), false)
      assert.equal(await store.get(cid), undefined)
      await store.put(cid, bytes)
      assert.equal(await store.has(cid), true)
    })

    test('never gives bytes that do not match, and takes the block again', async (t) => {
      const { store, damage } = await make(t)
      const { cid, bytes } = randomBlock('rotten', 5000)
      await store.put(cid, bytes)
      await damage(cid)
      assert.equal(await store.get(cid), undefined)
      assert.equal(await store.has(cid), false)
      await store.put(cid, bytes)
      assert.equal((await store.get(cid))?.byteLength, 5000)
    })

    test('takes and gives the same block many times at once', async (t) => {
      const { store } = await make(t)
      const { cid, bytes } = randomBlock('contended', 256 * 1024)
      const work = async () => {
        await store.put(cid, bytes)
        assert.equal((await store.get(cid))?.byteLength, bytes.byteLength)
      }
      await Promise.all(Array.from({ length: 50 }, work))
      assert.deepEqual(await keysOf(store), [blockKey(cid)])
    })

    test('rejects with the reason of a signal that has aborted', async (t) => {
      const { store } = await make(t)
      const { cid, bytes } = randomBlock('aborted', 10)
      const reason = new Error('enough')
      const options = { signal: AbortSignal.abort(reason) }
      const isReason = (error: unknown) => error === reason
      await assert.rejects(store.has(cid, options), isReason)
      await assert.rejects(store.get(cid, options), isReason)
      await assert.rejects(store.put(cid, bytes, options), isReason)
      await assert.rejects(store.sync(options), isReason)
      await assert.rejects(store.delete(cid, options), isReason)
    })
  })
}

async function keysOf(store: BlockStore): Promise<BlockKey[]> {
  const keys: BlockKey[] = []
  for await (const key of store.keys()) keys.push(key)
  return keys
}
