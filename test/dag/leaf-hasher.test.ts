import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { KiB } from '../../src/common/units.ts'
import { SHA2_256 } from '../../src/dag/cid.ts'
import { LeafHasher } from '../../src/dag/leaf-hasher.ts'
import { randomBytes } from '../support/bytes.ts'

const BLOCK_BYTES = 256 * KiB
/** Enough for a thread to be started. */
const MANY = 16

test('blocks in shared memory have their digests, in another thread once there are many', async (t) => {
  const hasher = await startedHasher(t)
  const blocks = Array.from({ length: 2 * MANY }, (_, index) => sharedBlock(`block ${index}`))
  const digests = await Promise.all(blocks.map((block) => hasher.digest(SHA2_256, block)))
  assert.deepEqual(digests.map(hex), blocks.map(sha256))
})

test('blocks that the threads have no time for are hashed in this one', async (t) => {
  const hasher = await startedHasher(t)
  const blocks = Array.from({ length: 2 * MANY }, (_, index) => sharedBlock(`block ${index}`))
  let done = 0
  const digests = blocks.map(async (block) => {
    const digest = await hasher.digest(SHA2_256, block)
    done++
    return digest
  })
  // No answer of a thread comes meanwhile.
  for (let turn = 0; turn < 10; turn++) await undefined
  assert.ok(done > 0 && done < blocks.length, `${done} of ${blocks.length} are hashed here`)
  assert.deepEqual((await Promise.all(digests)).map(hex), blocks.map(sha256))
})

test('small blocks and blocks in memory of this thread have theirs too', async (t) => {
  const hasher = await startedHasher(t)
  for (const block of [sharedBlock('small', 100), randomBytes('own', BLOCK_BYTES)]) {
    assert.equal(hex(await hasher.digest(SHA2_256, block)), sha256(block))
  }
})

test('a thread that ends before it has answered costs no digest', async (t) => {
  const hasher = await startedHasher(t)
  const blocks = Array.from({ length: MANY }, (_, index) => sharedBlock(`block ${index}`))
  const digests = blocks.map((block) => hasher.digest(SHA2_256, block))
  await hasher.close()
  assert.deepEqual((await Promise.all(digests)).map(hex), blocks.map(sha256))
  assert.equal(hex(await hasher.digest(SHA2_256, blocks[0]!)), sha256(blocks[0]!))
})

/** One that has had so many blocks that it uses its thread. */
async function startedHasher(t: TestContext): Promise<LeafHasher> {
  const hasher = new LeafHasher()
  t.after(() => hasher.close())
  const block = sharedBlock('first')
  for (let index = 0; index < MANY; index++) await hasher.digest(SHA2_256, block)
  let isThere = false
  const digest = hasher.digest(SHA2_256, block).then(() => {
    isThere = true
  })
  for (let turn = 0; turn < 10; turn++) await undefined
  assert.equal(isThere, false, 'it is hashed in this thread')
  await digest
  return hasher
}

function sharedBlock(seed: string, byteCount = BLOCK_BYTES): Uint8Array {
  const block = new Uint8Array(new SharedArrayBuffer(byteCount))
  block.set(randomBytes(seed, byteCount))
  return block
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
