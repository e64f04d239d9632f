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
import { fileIdOf, type Reference, treeIdOf } from '../../src/blockstore/reference-codec.ts'
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

/** A tree of one file. */
async function newFile(references: References, path: string): Promise<number> {
  const id = fileIdOf(await references.createTree({ path, root }), 0)
  await references.record([{ id, name: '' }], [])
  return id
}

async function refer(references: References, block: Block, place: Omit<Reference, 'length' | 'form'>): Promise<void> {
  const { cid, bytes } = block
  await references.record([], [{ key: blockKey(cid), ...place, length: bytes.byteLength, form: 'raw' }])
}

/** A file of blocks, one after the other. */
async function writeBlocks(references: References, path: string, blocks: Block[]): Promise<number> {
  const fileId = await newFile(references, path)
  await writeFile(path, Buffer.concat(blocks.map(({ bytes }) => bytes)))
  for (const [index, block] of blocks.entries()) {
    await refer(references, block, { fileId, offset: index * BLOCK_BYTES })
  }
  return fileId
}

async function finish(references: References, id: number, path: string): Promise<void> {
  const { size, mtimeNs } = await stat(path, { bigint: true })
  await references.record([{ id, name: '', size: Number(size), mtimeNs: String(mtimeNs) }], [])
  await references.finishTree(treeIdOf(id), { path, root })
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

async function lookupAll(references: References, blocks: Block[]): Promise<(Reference | undefined)[]> {
  return await Promise.all(blocks.map(async ({ cid }) => (await references.lookup(blockKey(cid)))[0]))
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
  assert.deepEqual(await again.lookup(blockKey(root)), [])
  const found = await lookupAll(again, blocks)
  assert.deepEqual(found, [
    { fileId: id, offset: 0, length: BLOCK_BYTES, form: 'raw' },
    { fileId: id, offset: BLOCK_BYTES, length: BLOCK_BYTES, form: 'raw' },
    { fileId: id, offset: 2 * BLOCK_BYTES, length: BLOCK_BYTES, form: 'raw' },
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
  const block = randomBlock('far', BLOCK_BYTES)
  const { cid, bytes } = block
  const path = join(folder, 'sparse')
  const offset = 2 ** 40 + 5
  const file = await open(path, 'w')
  await file.write(bytes, 0, bytes.byteLength, offset)
  await file.close()
  await refer(references, block, { fileId: await newFile(references, path), offset })
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
  await refer(references, unreadable, { fileId: await newFile(references, looping), offset: 0 })
  await assert.rejects(references.get(unreadable.cid), (error) => hasCode(error, 'io'))
})

test('a block is known in every file that has it, and had from any of them', async (t) => {
  const { folder, references } = await makeFixture(t)
  const [block] = someBlocks(1)
  const key = blockKey(block!.cid)
  const files = []
  for (const name of ['first', 'second']) {
    const path = join(folder, name)
    const id = await writeBlocks(references, path, [block!])
    await finish(references, id, path)
    files.push({ id, path })
  }
  const [first, second] = files
  const placesOf = async () => (await references.lookup(key)).map(({ fileId, offset }) => ({ fileId, offset }))
  assert.deepEqual(await placesOf(), [
    { fileId: second!.id, offset: 0 },
    { fileId: first!.id, offset: 0 },
  ])
  await rm(second!.path)
  assert.deepEqual(await references.get(block!.cid), block!.bytes)
  assert.equal(await references.size(block!.cid), BLOCK_BYTES)
  await references.forgetTree(treeIdOf(first!.id))
  assert.equal(await references.get(block!.cid), undefined)
  // Within one file the newest place counts.
  await refer(references, block!, { fileId: second!.id, offset: 7 })
  assert.deepEqual(await placesOf(), [{ fileId: second!.id, offset: 7 }])
})

test('a file that cannot be read does not hide another that can', async (t) => {
  const { folder, references } = await makeFixture(t)
  const [block] = someBlocks(1)
  await writeBlocks(references, join(folder, 'good'), [block!])
  const looping = join(folder, 'loop')
  await symlink(looping, looping)
  await refer(references, block!, { fileId: await newFile(references, looping), offset: 0 })
  assert.deepEqual(await references.get(block!.cid), block!.bytes)
})

test('keeps few of many places in one tree, and the newest of every tree', async (t) => {
  const { folder, references } = await makeFixture(t)
  const [block] = someBlocks(1)
  const newest: number[] = []
  for (let tree = 0; tree < 12; tree++) {
    const first = await newFile(references, join(folder, `${tree}`))
    for (let file = 0; file < 12; file++) await refer(references, block!, { fileId: first + file, offset: 0 })
    newest.unshift(first + 11)
  }
  const places = (await references.lookup(blockKey(block!.cid))).map(({ fileId }) => fileId)
  const ofLastTree = Array.from({ length: 8 }, (_, index) => newest[0]! - index)
  assert.deepEqual(places, [...ofLastTree, ...newest.slice(1)])
})

test('what refers to a forgotten tree is absent, is cleared away, and its id is never given again', async (t) => {
  const { folder, database, references } = await makeFixture(t)
  const blocks = someBlocks(4)
  const path = join(folder, 'file')
  const id = await writeBlocks(references, path, blocks.slice(0, 3))
  await references.forgetTree(treeIdOf(id))
  const again = new References(database)
  for (const user of [references, again]) {
    assert.deepEqual(await user.lookup(blockKey(blocks[0]!.cid)), [])
    for await (const _ of user.keys()) assert.fail('nothing is left')
    for await (const _ of user.trees()) assert.fail('nothing is left')
    for await (const _ of user.filesOf(treeIdOf(id))) assert.fail('nothing is left')
  }
  const count = async () => {
    let records = 0
    for await (const _ of database.space('ref').iterate()) records++
    return records
  }
  assert.equal(await count(), 2)
  const next = await newFile(again, path)
  assert.ok(treeIdOf(next) > treeIdOf(id))
  // A reference that was left behind gives way.
  await refer(again, blocks[1]!, { fileId: next, offset: BLOCK_BYTES })
  const found = await lookupAll(again, blocks)
  assert.deepEqual(
    found.map((reference) => reference?.fileId),
    [undefined, next, undefined, undefined],
  )
  assert.equal(await count(), 1)
  assert.deepEqual(await again.get(blocks[1]!.cid), blocks[1]!.bytes)
  again.close()
})

test('finds the trees, their files, and what is known of them', async (t) => {
  const { folder, references } = await makeFixture(t)
  const path = (name: string) => join(folder, name)
  const text = root.toString()
  const building = await references.createTree({ path: path('a'), root, bootId: 'boot 1' })
  const finished = await references.createTree({ path: path('b.part'), root, bootId: 'boot 1' })
  const unknown = await references.createTree({ path: path('c') })
  const files = [
    { id: fileIdOf(finished, 0), name: 'x' },
    { id: fileIdOf(finished, 300), name: 'sub/y', size: 7, mtimeNs: '1700000000123456789' },
  ]
  await references.record([...files, { id: fileIdOf(building, 0), name: 'z' }], [])
  await references.finishTree(finished, { path: path('b'), root })
  assert.deepEqual(await collect(references.trees()), [
    { id: building, path: path('a'), state: 'building', root: text, bootId: 'boot 1' },
    { id: finished, path: path('b'), state: 'finished', root: text, bootId: 'boot 1' },
    { id: unknown, path: path('c'), state: 'building' },
  ])
  assert.deepEqual(await collect(references.filesOf(finished)), files)
  await references.forgetTree(finished)
  await assert.rejects(references.finishTree(finished, { path: path('b'), root }), (error) =>
    hasCode(error, 'internal'),
  )
  assert.deepEqual(
    (await collect(references.trees())).map(({ id }) => id),
    [building, unknown],
  )
})

test('drops references that turn out to be wrong, those of this file only', async (t) => {
  const { folder, references } = await makeFixture(t)
  const blocks = someBlocks(3)
  const first = await writeBlocks(references, join(folder, 'first'), blocks.slice(0, 2))
  await writeBlocks(references, join(folder, 'second'), blocks.slice(2))
  for (const key of keysOf(blocks.slice(1))) await references.drop(first, key)
  const found = await lookupAll(references, blocks)
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
  const fileId = await newFile(references, path)
  for (const type of ['file', 'raw'] as const) {
    const data = encodeUnixfs({ type, data: content, fileSize: content.byteLength, blockSizes: [] })
    const leaf = dagPbBlock(encode(prepare({ Data: data, Links: [] })))
    const form = leafFormOf(leaf.cid, content)
    assert.ok(form !== undefined && form !== 'raw')
    await references.record([], [{ key: blockKey(leaf.cid), fileId, offset: 0, length: content.byteLength, form }])
    assert.deepEqual(Buffer.from((await references.get(leaf.cid))!), Buffer.from(leaf.bytes))
    assert.equal(await references.size(leaf.cid), leaf.bytes.byteLength)
  }
  assert.equal(leafFormOf(dagPbBlock(content).cid, content), undefined)
})
