import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { appendFile, mkdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { References } from '../../src/blockstore/references.ts'
import type { Clock } from '../../src/common/clock.ts'
import { systemClock } from '../../src/common/clock.ts'
import { HOUR_MS, MiB } from '../../src/common/units.ts'
import { RAW } from '../../src/dag/cid.ts'
import { openDatabase } from '../../src/database/database.ts'
import type { AddOptions } from '../../src/node/api.ts'
import { addSources } from '../../src/node/operations/add.ts'
import { ImportMemory } from '../../src/pin/import-memory.ts'
import { Pins } from '../../src/pin/pins.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'
import { makeTempDir } from '../support/temp.ts'

/** Long after the files of a test were written. */
const later: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + HOUR_MS }

interface Site {
  tree: string
  pins: Pins
  memory: ImportMemory
  store: MemoryBlockStore
  references: References
  /** All that is remembered. */
  records(): Promise<[key: Uint8Array, value: Uint8Array][]>
  /** The CID of the tree; how many blocks were put for it. */
  add(options?: AddOptions): Promise<{ cid: string; puts: number; files: number; skippedHidden: number }>
}

/** A tree of two folders with two files each, and what imports it. */
async function makeSite(t: TestContext, clock = later): Promise<Site> {
  const folder = await makeTempDir(t)
  const tree = join(folder, 'tree')
  for (const name of ['a', 'b']) {
    await mkdir(join(tree, name), { recursive: true })
    await writeFile(join(tree, name, 'one'), `${name} one`)
    await writeFile(join(tree, name, 'two'), `${name} two`)
  }
  await writeFile(join(tree, '.hidden'), '')
  const database = await openDatabase(join(folder, 'database'))
  cleanUpAfter(t, () => database.close())
  const store = new MemoryBlockStore()
  const references = new References(database)
  const pins = new Pins(database, clock)
  const memory = new ImportMemory({ database, pins, store, clock })
  return {
    tree,
    pins,
    memory,
    store,
    references,
    records: async () => {
      const records: [key: Uint8Array, value: Uint8Array][] = []
      for await (const record of database.space('imported').iterate()) records.push(record)
      return records
    },
    add: async (options = {}) => {
      let puts = 0
      let files = 0
      const counting = {
        sync: () => store.sync(),
        put: async (...args: Parameters<MemoryBlockStore['put']>) => {
          puts++
          await store.put(...args)
        },
      }
      const onProgress: AddOptions['onProgress'] = (event) => {
        if (event.type === 'add-progress') files = event.files
      }
      const result = await addSources({ store: counting, references, pins, memory, clock }, [{ path: tree }], {
        ...options,
        onProgress,
      })
      return { cid: result.roots[0]!.cid, puts, files, skippedHidden: result.skippedHidden }
    },
  }
}

const LEAVES = 4
const FOLDERS = 3

test('an unchanged tree is not read again, and is told of as before', async (t) => {
  const { add } = await makeSite(t)
  const first = await add()
  assert.deepEqual({ puts: first.puts, files: first.files }, { puts: LEAVES + FOLDERS, files: LEAVES })
  assert.deepEqual(await add(), { ...first, puts: 0 })
})

test('of a tree in which one file changed the others are not read again', async (t) => {
  const { add, tree } = await makeSite(t)
  const first = await add()
  await appendFile(join(tree, 'a', 'one'), ' more')
  const second = await add()
  assert.notEqual(second.cid, first.cid)
  assert.equal(second.puts, 1 + FOLDERS)
  assert.equal(second.files, LEAVES)
})

test('a wide folder is remembered whole, in records that stay small', async (t) => {
  const { add, tree, store, records } = await makeSite(t)
  await mkdir(join(tree, 'wide'))
  for (let index = 0; index < 9_000; index++) writeFileSync(join(tree, 'wide', `${index}`), `${index % 10}`)
  // Among the files, by their names.
  for (const name of ['1', '5', '8']) {
    await mkdir(join(tree, 'wide', `${name}-folder`))
    writeFileSync(join(tree, 'wide', `${name}-folder`, 'file'), name)
  }
  await add()
  assert.equal((await add()).puts, 0)
  for (const [, value] of await records()) assert.ok(value.byteLength < MiB, `${value.byteLength} bytes`)

  let leaves = 0
  const put = store.put.bind(store)
  store.put = async (cid, bytes) => {
    if (cid.code === RAW) leaves++
    await put(cid, bytes)
  }
  rmSync(join(tree, 'wide', '17'))
  await appendFile(join(tree, 'wide', '4711'), ' more')
  const second = await add()
  assert.equal(leaves, 1)
  assert.equal((await add({ rehash: true })).cid, second.cid)
})

test('what was there only while a tree was imported is not remembered as part of it', async (t) => {
  const { add, tree, memory } = await makeSite(t)
  const passing = join(tree, 'b', 'passing')
  const open = memory.open.bind(memory)
  // Called between looking through the tree and importing it.
  memory.open = (options) => {
    writeFileSync(passing, 'only now')
    memory.open = open
    return open(options)
  }
  const first = await add({ onRoot: () => rmSync(passing) })
  assert.equal(first.files, LEAVES + 1)
  const second = await add()
  assert.notEqual(second.cid, first.cid)
  assert.deepEqual(await add(), { ...second, puts: 0 })
})

test('a change that leaves size and time of change as they were is seen', async (t) => {
  const { add, tree } = await makeSite(t)
  const path = join(tree, 'a', 'one')
  const then = new Date('2020-01-01')
  await utimes(path, then, then)
  const first = await add()
  const content = await readFile(path, 'utf8')
  await writeFile(path, content.toUpperCase())
  await utimes(path, then, then)
  assert.notEqual((await add()).cid, first.cid)
})

test('what was changed just before it was looked at is read again', async (t) => {
  const { add } = await makeSite(t, systemClock)
  const { puts } = await add()
  assert.equal((await add()).puts, puts)
})

test('other settings know nothing of each other', async (t) => {
  const { add } = await makeSite(t)
  const { cid } = await add()
  const other = await add({ profile: 'unixfs-v0-2015' })
  assert.notEqual(other.cid, cid)
  assert.equal((await add({ profile: 'unixfs-v0-2015' })).puts, 0)
  assert.equal((await add()).cid, cid)
  const withMode = await add({ preserveMode: true })
  assert.ok(![cid, other.cid].includes(withMode.cid))
})

test('rehash reads everything, and what it finds is remembered, also under the pin that was there', async (t) => {
  const { add, memory } = await makeSite(t)
  const { cid, puts } = await add()
  const again = await add({ rehash: true })
  assert.deepEqual({ cid: again.cid, puts: again.puts }, { cid, puts })
  await memory.sweep()
  assert.equal((await add()).puts, 0)
})

test('of what stays in place nothing is believed unless it is still served from there', async (t) => {
  const { add, references } = await makeSite(t)
  const first = await add({ copy: false })
  assert.equal((await add({ copy: false })).puts, 0)
  for await (const tree of references.trees()) await references.forgetTree(tree.id)
  assert.deepEqual(await add({ copy: false }), first)
  for await (const { root } of references.trees()) assert.equal(root, first.cid)
})

test('an import that is not pinned leaves what was remembered, and nothing of its own', async (t) => {
  const { add, tree, records } = await makeSite(t)
  await add()
  const before = await records()
  await appendFile(join(tree, 'a', 'one'), ' more')
  await add({ pin: false })
  assert.deepEqual(await records(), before)
  await add({ pin: false, rehash: true })
  assert.equal((await add()).puts, 1 + FOLDERS)
})

test('adding an unchanged tree again leaves no more records than before', async (t) => {
  const { add, records } = await makeSite(t)
  await add()
  const { length } = await records()
  for (let time = 0; time < 3; time++) await add()
  await add({ rehash: true })
  assert.equal((await records()).length, length)
})

test('what was forgotten is read again, and an import that was under way notes nothing', async (t) => {
  const { add, memory, store } = await makeSite(t)
  const put = store.put.bind(store)
  store.put = async (...block) => {
    store.put = put
    await put(...block)
    await memory.forget()
  }
  const first = await add()
  assert.deepEqual(await add(), first)
  await memory.forget()
  assert.deepEqual(await add(), first)
})

test('with its pin a tree is forgotten', async (t) => {
  const { add, pins, memory } = await makeSite(t)
  const { cid, puts } = await add()
  for await (const pin of pins.list()) await pins.remove(pin.cid)
  await memory.sweep()
  const second = await add()
  assert.deepEqual({ cid: second.cid, puts: second.puts }, { cid, puts })
})

test('what is believed is held for the new pin', async (t) => {
  const { add, tree, pins, store } = await makeSite(t)
  const first = await add()
  await appendFile(join(tree, 'b', 'two'), ' more')
  const second = await add()
  for await (const { cid } of pins.list()) if (cid.toString() === first.cid) await pins.remove(cid)
  let held = 0
  for (const key of store.blocks.keys()) if (await pins.isHeld(key)) held++
  assert.equal(second.puts, 1 + FOLDERS)
  assert.equal(held, LEAVES + FOLDERS)
})
