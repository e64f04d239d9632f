import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import {
  appendFile,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { encode, prepare } from '@ipld/dag-pb'
import { LocalBlockStore } from '../../src/blockstore/local-blockstore.ts'
import { References } from '../../src/blockstore/references.ts'
import { hasCode } from '../../src/common/errors.ts'
import { MINUTE_MS } from '../../src/common/units.ts'
import type { Block } from '../../src/dag/block.ts'
import { type BlockKey, blockKey } from '../../src/dag/cid.ts'
import { leafFormOf } from '../../src/dag/leaf-form.ts'
import { type Database, openDatabase } from '../../src/database/database.ts'
import { encodeUnixfs } from '../../src/unixfs/unixfs-data.ts'
import { dagPbBlock, damaged, randomBlock } from '../support/blocks.ts'
import { randomBytes } from '../support/bytes.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'
import { makeTempDir } from '../support/temp.ts'

const BLOCK_BYTES = 5000
const noProc = existsSync('/proc/self/fd') ? false : 'needs /proc'
const root = randomBlock('root', 10).cid
const otherRoot = randomBlock('other root', 10).cid

interface Fixture {
  folder: string
  database: Database
  references: References
}

async function makeFixture(t: TestContext): Promise<Fixture> {
  const folder = await makeTempDir(t)
  const database = await openDatabase(join(folder, 'database'))
  cleanUpAfter(t, () => database.close())
  const references = new References(database)
  cleanUpAfter(t, () => references.close())
  return { folder, database, references }
}

/** A file of blocks, one after the other, that is recorded under an id. */
async function writeBlocks(references: References, path: string, blocks: Block[]): Promise<number> {
  const id = await references.createFile({ path, root })
  await writeFile(path, Buffer.concat(blocks.map(({ bytes }) => bytes)))
  await references.record(
    blocks.map(({ cid, bytes }, index) => {
      return { key: blockKey(cid), fileId: id, offset: index * BLOCK_BYTES, length: bytes.byteLength, form: 'raw' }
    }),
  )
  return id
}

async function finish(references: References, id: number, path: string): Promise<void> {
  const { size, mtimeNs } = await stat(path, { bigint: true })
  await references.finishFiles([{ id, path, size: Number(size), mtimeNs }])
}

function someBlocks(count: number, seed = 'block'): Block[] {
  return Array.from({ length: count }, (_, index) => randomBlock(`${seed} ${index}`, BLOCK_BYTES))
}

const keysOf = (blocks: Block[]): BlockKey[] => blocks.map(({ cid }) => blockKey(cid))

test('a file under construction gives the blocks that are in it, over a restart too', async (t) => {
  const { folder, database, references } = await makeFixture(t)
  const blocks = someBlocks(3)
  const path = join(folder, 'file')
  const id = await writeBlocks(references, path, blocks)
  await appendFile(path, 'it grows')

  const again = new References(database)
  const found = await again.lookupMany([...keysOf(blocks), blockKey(root)])
  assert.deepEqual(found, [
    { fileId: id, offset: 0, length: BLOCK_BYTES, form: 'raw' },
    { fileId: id, offset: BLOCK_BYTES, length: BLOCK_BYTES, form: 'raw' },
    { fileId: id, offset: 2 * BLOCK_BYTES, length: BLOCK_BYTES, form: 'raw' },
    undefined,
  ])
  for (const [index, { cid, bytes }] of blocks.entries()) {
    assert.deepEqual(await again.read(found[index]!, cid), bytes)
    assert.equal(await again.size(cid), BLOCK_BYTES)
  }
  assert.equal(await again.read(found[0]!, blocks[1]!.cid), undefined)
  again.close()
})

test('holds offsets beyond four gibibytes', async (t) => {
  const { folder, references } = await makeFixture(t)
  const { cid, bytes } = randomBlock('far', BLOCK_BYTES)
  const path = join(folder, 'sparse')
  const offset = 2 ** 40 + 5
  const file = await open(path, 'w')
  await file.write(bytes, 0, bytes.byteLength, offset)
  await file.close()
  const id = await references.createFile({ path, root })
  await references.record([{ key: blockKey(cid), fileId: id, offset, length: bytes.byteLength, form: 'raw' }])
  assert.deepEqual(await references.get(cid), bytes)
})

test('a finished file is believed as long as its size and time are the same', async (t) => {
  const { folder, references } = await makeFixture(t)
  const [block] = someBlocks(1)
  const building = join(folder, '.building')
  const path = join(folder, 'file')
  const id = await writeBlocks(references, building, [block!])
  assert.deepEqual(await references.get(block!.cid), block!.bytes)
  await rename(building, path)
  await finish(references, id, path)
  assert.deepEqual(await references.get(block!.cid), block!.bytes)

  const { atime, mtime } = await stat(path)
  await utimes(path, atime, new Date(mtime.getTime() + 5))
  assert.equal(await references.get(block!.cid), undefined)
  assert.equal(await references.size(block!.cid), undefined)
  await finish(references, id, path)
  assert.equal(await references.size(block!.cid), BLOCK_BYTES)
  await appendFile(path, 'x')
  assert.equal(await references.get(block!.cid), undefined)
})

test('bytes that changed under the same size and time are never given', async (t) => {
  const { folder, references } = await makeFixture(t)
  const [block] = someBlocks(1)
  const path = join(folder, 'file')
  const id = await writeBlocks(references, path, [block!])
  await finish(references, id, path)
  assert.deepEqual(await references.get(block!.cid), block!.bytes)
  await writeFile(path, damaged(block!.bytes))
  await finish(references, id, path)
  assert.equal(await references.get(block!.cid), undefined)
})

test('a file that is gone, cut or replaced counts as missing; one that cannot be read is an error', async (t) => {
  const { folder, references } = await makeFixture(t)
  const [block] = someBlocks(1)
  const { cid, bytes } = block!
  const path = join(folder, 'sub', 'file')
  await mkdir(join(folder, 'sub'))
  await writeBlocks(references, path, [block!])
  assert.deepEqual(await references.get(cid), bytes)
  await writeFile(path, bytes.subarray(0, 100))
  assert.equal(await references.get(cid), undefined)
  await rm(path)
  assert.equal(await references.get(cid), undefined)
  // Another file at the same path, while the first one may still be open.
  await writeFile(`${path}2`, bytes)
  await rename(`${path}2`, path)
  assert.deepEqual(await references.get(cid), bytes)
  await rm(path)
  await mkdir(path)
  assert.equal(await references.get(cid), undefined)
  await rm(join(folder, 'sub'), { recursive: true })
  await writeFile(join(folder, 'sub'), 'a file where the folder was')
  assert.equal(await references.get(cid), undefined)

  const looping = join(folder, 'loop')
  await symlink(looping, looping)
  const unreadable = randomBlock('unreadable', BLOCK_BYTES)
  const id = await references.createFile({ path: looping, root })
  await references.record([{ key: blockKey(unreadable.cid), fileId: id, offset: 0, length: BLOCK_BYTES, form: 'raw' }])
  await assert.rejects(references.get(unreadable.cid), (error) => hasCode(error, 'io'))
})

test('a block stays with the file that has it, and moves when that file has not got it any more', async (t) => {
  const { folder, references } = await makeFixture(t)
  const [block] = someBlocks(1)
  const first = await writeBlocks(references, join(folder, 'first'), [block!])
  await finish(references, first, join(folder, 'first'))
  const second = await writeBlocks(references, join(folder, 'second'), [block!])
  const fileOf = async () => (await references.lookupMany(keysOf([block!])))[0]?.fileId
  assert.equal(await fileOf(), first)
  await rm(join(folder, 'first'))
  await references.record([{ key: blockKey(block!.cid), fileId: second, offset: 0, length: BLOCK_BYTES, form: 'raw' }])
  assert.equal(await fileOf(), second)
  // Within one file the newest place counts.
  await references.record([{ key: blockKey(block!.cid), fileId: second, offset: 7, length: BLOCK_BYTES, form: 'raw' }])
  assert.equal((await references.lookupMany(keysOf([block!])))[0]?.offset, 7)
})

test('what refers to a forgotten file is absent, is cleared away, and its id is never given again', async (t) => {
  const { folder, database, references } = await makeFixture(t)
  const blocks = someBlocks(4)
  const path = join(folder, 'file')
  const id = await writeBlocks(references, path, blocks.slice(0, 3))
  await references.forgetFile(id)
  const again = new References(database)
  for (const user of [references, again]) {
    assert.deepEqual(await user.lookupMany(keysOf(blocks.slice(0, 1))), [undefined])
    for await (const _ of user.keys()) assert.fail('nothing is left')
    for await (const _ of user.filesOf(root)) assert.fail('nothing is left')
  }
  const count = async () => {
    let records = 0
    for await (const _ of database.space('ref').iterate()) records++
    return records
  }
  assert.equal(await count(), 2)
  const next = await again.createFile({ path, root })
  assert.ok(next > id)
  // A reference that was left behind gives way.
  const { cid } = blocks[1]!
  await again.record([{ key: blockKey(cid), fileId: next, offset: BLOCK_BYTES, length: BLOCK_BYTES, form: 'raw' }])
  assert.equal((await again.lookupMany(keysOf(blocks)))[1]?.fileId, next)
  assert.equal(await count(), 1)
  assert.deepEqual(await again.get(cid), blocks[1]!.bytes)
  again.close()
})

test('finds the files of a root and what is known of them', async (t) => {
  const { folder, references } = await makeFixture(t)
  const path = (name: string) => join(folder, name)
  const building = await references.createFile({ path: path('a'), root, bootId: 'boot 1' })
  const finished = await references.createFile({ path: path('b.part'), root, bootId: 'boot 1' })
  await references.createFile({ path: path('c'), root: otherRoot })
  await references.confirm(building, 'boot 2')
  await references.finishFiles([{ id: finished, path: path('b'), size: 7, mtimeNs: 1_700_000_000_123_456_789n }])
  const found = []
  for await (const file of references.filesOf(root)) found.push(file)
  const text = root.toString()
  assert.deepEqual(found, [
    { id: building, path: path('a'), state: 'building', root: text, bootId: 'boot 2' },
    {
      id: finished,
      path: path('b'),
      state: 'finished',
      root: text,
      size: 7,
      mtimeNs: '1700000000123456789',
    },
  ])
  await references.forgetFile(finished)
  // Nothing to finish any more.
  await references.finishFiles([{ id: finished, path: path('b'), size: 7, mtimeNs: 1n }])
  const left = []
  for await (const file of references.filesOf(root)) left.push(file.id)
  assert.deepEqual(left, [building])
})

test('drops references that turn out to be wrong, those of this file only', async (t) => {
  const { folder, references } = await makeFixture(t)
  const blocks = someBlocks(3)
  const first = await writeBlocks(references, join(folder, 'first'), blocks.slice(0, 2))
  await writeBlocks(references, join(folder, 'second'), blocks.slice(2))
  await references.drop(first, keysOf(blocks.slice(1)))
  const found = await references.lookupMany(keysOf(blocks))
  assert.deepEqual(
    found.map((reference) => reference !== undefined),
    [true, false, true],
  )
})

test('reads many files with few of them open', { skip: noProc, timeout: MINUTE_MS }, async (t) => {
  const { folder, references } = await makeFixture(t)
  const blocks = someBlocks(100)
  for (const [index, block] of blocks.entries()) await writeBlocks(references, join(folder, String(index)), [block])
  const opened = async () => {
    const links = await readdir('/proc/self/fd')
    const targets = await Promise.all(links.map((link) => readlink(`/proc/self/fd/${link}`).catch(() => '')))
    return targets.filter((target) => /\/\d+$/.test(target) && target.startsWith(folder)).length
  }
  for (let round = 0; round < 2; round++) {
    const read = await Promise.all(blocks.map(({ cid }) => references.get(cid)))
    assert.deepEqual(
      read,
      blocks.map(({ bytes }) => bytes),
    )
  }
  // Those beyond the limit are closed without anybody waiting for it.
  while ((await opened()) > 32) await nextTurn()
  assert.ok((await opened()) > 0)
})

test('the local store gives referenced blocks, files first, and leaves the user files alone', async (t) => {
  const { folder, references } = await makeFixture(t)
  const files = new MemoryBlockStore()
  const store = new LocalBlockStore(files, references)
  const blocks = someBlocks(3)
  const path = join(folder, 'file')
  const id = await writeBlocks(references, path, blocks)
  await finish(references, id, path)
  const { cid, bytes } = blocks[0]!
  assert.equal(await store.has(cid), true)
  assert.equal(await store.size(cid), BLOCK_BYTES)
  assert.deepEqual(await store.get(cid), bytes)

  await store.put(cid, bytes)
  assert.equal(files.blocks.size, 1)
  const keys: BlockKey[] = []
  for await (const key of store.keys()) keys.push(key)
  assert.deepEqual(keys.sort(), keysOf(blocks).sort())

  await store.delete(cid)
  assert.equal(await store.has(cid), false)
  assert.deepEqual(await readFile(path), Buffer.concat(blocks.map((block) => block.bytes)))
  // A block file that is damaged is made up for by the reference.
  const second = blocks[1]!
  await store.put(second.cid, second.bytes)
  files.blocks.set(blockKey(second.cid), damaged(second.bytes))
  assert.deepEqual(await store.get(second.cid), second.bytes)
})

test('a leaf in dag-pb is made again from the content that its file holds', async (t) => {
  const { folder, references } = await makeFixture(t)
  const path = join(folder, 'file')
  const content = randomBytes('content', 3000)
  await writeFile(path, content)
  const id = await references.createFile({ path, root })
  for (const type of ['file', 'raw'] as const) {
    const data = encodeUnixfs({ type, data: content, fileSize: content.byteLength, blockSizes: [] })
    const leaf = dagPbBlock(encode(prepare({ Data: data, Links: [] })))
    const form = leafFormOf(leaf.cid, content)
    assert.ok(form !== undefined && form !== 'raw')
    await references.record([{ key: blockKey(leaf.cid), fileId: id, offset: 0, length: content.byteLength, form }])
    assert.deepEqual(Buffer.from((await references.get(leaf.cid))!), Buffer.from(leaf.bytes))
    assert.equal(await references.size(leaf.cid), leaf.bytes.byteLength)
  }
  assert.equal(leafFormOf(dagPbBlock(content).cid, content), undefined)
})
