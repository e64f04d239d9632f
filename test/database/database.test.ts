import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { hasCode } from '../../src/common/errors.ts'
import { type Database, openDatabase, type Space } from '../../src/database/database.ts'
import { canRun, runChildModule, startChildModule } from '../support/child-module.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'

type DatastoreKey = Parameters<Awaited<ReturnType<Database['datastore']>>['put']>[0]

/** What the datastore asks of a key. */
const keyOf = (path: string) => ({ toString: () => path }) as DatastoreKey

const text = (value: string) => Buffer.from(value)

const noStrace = canRun('strace', '-f', '-e', 'trace=none', 'true') ? false : 'needs strace'

async function open(t: TestContext, folder: string): Promise<Database> {
  const database = await openDatabase(folder)
  cleanUpAfter(t, () => database.close())
  return database
}

async function keysOf(space: Space, prefix?: Uint8Array): Promise<string[]> {
  const keys: string[] = []
  for await (const [key] of space.iterate({ prefix })) keys.push(Buffer.from(key).toString('latin1'))
  return keys
}

test('spaces keep bytes apart from each other, and over a restart', async (t) => {
  const folder = await makeTempDir(t)
  const database = await openDatabase(folder)
  // One name begins like the other.
  const ref = database.space('ref')
  const reffile = database.space('reffile')
  await ref.put(text('a'), Uint8Array.of(0, 255), { sync: true })
  await reffile.put(text('a'), text('other'))
  await ref.put(new Uint8Array(), text('empty key'))
  await database.close()

  const reopened = await open(t, folder)
  const again = reopened.space('ref')
  assert.deepEqual(Buffer.from((await again.get(text('a')))!), Buffer.of(0, 255))
  assert.equal(await again.get(text('b')), undefined)
  assert.equal(await again.has(text('a')), true)
  assert.equal(await again.has(text('b')), false)
  const many = await again.getMany([text('b'), text('a'), new Uint8Array()])
  assert.deepEqual(
    many.map((value) => value && Buffer.from(value).toString('latin1')),
    [undefined, '\0ÿ', 'empty key'],
  )
  assert.deepEqual(await keysOf(again), ['', 'a'])
  await again.del(text('a'))
  assert.deepEqual(await keysOf(again), [''])
  assert.deepEqual(await keysOf(reopened.space('reffile')), ['a'])
})

test('iterates in the order of bytes, by prefix, over what was there when it started', async (t) => {
  const space = (await open(t, await makeTempDir(t))).space('s')
  const names = ['a', 'a\0', 'aÿ', 'aÿÿ', 'b', 'ÿ', 'ÿÿ']
  await space.batch(names.map((name) => ({ type: 'put', key: Buffer.from(name, 'latin1'), value: text('') })))
  assert.deepEqual(await keysOf(space), names)
  assert.deepEqual(await keysOf(space, text('a')), ['a', 'a\0', 'aÿ', 'aÿÿ'])
  assert.deepEqual(await keysOf(space, Buffer.from('aÿ', 'latin1')), ['aÿ', 'aÿÿ'])
  assert.deepEqual(await keysOf(space, Buffer.from('ÿ', 'latin1')), ['ÿ', 'ÿÿ'])
  assert.deepEqual(await keysOf(space, text('c')), [])
  let seen = 0
  for await (const [key] of space.iterate()) {
    seen++
    await space.del(key)
    await space.put(Buffer.concat([key, text('x')]), text(''))
  }
  assert.equal(seen, names.length)
  // Leaving early closes the iterator: closing the database would wait for it otherwise.
  for await (const _ of space.iterate()) break
})

test('a space has a plain name', async (t) => {
  const database = await open(t, await makeTempDir(t))
  for (const name of ['', 'a/b', '!a', 'Ä']) assert.throws(() => database.space(name), /cannot name/)
})

test('a libp2p datastore lies in the same database, apart from the spaces', async (t) => {
  const folder = await makeTempDir(t)
  const database = await openDatabase(folder)
  await database.space('peers').put(text('/k'), text('mine'))
  const peers = await database.datastore('peers')
  const dht = await database.datastore('dht')
  await peers.put(keyOf('/peers/a'), Uint8Array.of(1))
  await dht.put(keyOf('/peers/a'), Uint8Array.of(2))
  const batch = peers.batch()
  batch.put(keyOf('/peers/b'), Uint8Array.of(3))
  batch.put(keyOf('/other'), Uint8Array.of(4))
  await batch.commit()
  const found: string[] = []
  for await (const { key, value } of peers.query({ prefix: '/peers' })) found.push(`${key} ${value[0]}`)
  assert.deepEqual(found, ['/peers/a 1', '/peers/b 3'])
  await assert.rejects(async () => await peers.get(keyOf('/k')), { name: 'NotFoundError' })
  await peers.close()
  assert.deepEqual(await keysOf(database.space('peers')), ['/k'])
  await database.close()

  const again = await (await open(t, folder)).datastore('peers')
  assert.equal(await again.has(keyOf('/peers/b')), true)
  assert.deepEqual(Buffer.from(await again.get(keyOf('/peers/a'))), Buffer.of(1))
})

test('only one process has it open, and a killed one lets go', async (t) => {
  const folder = await makeTempDir(t)
  const program = `
    const { openDatabase } = await load('database/database')
    const database = await openDatabase(argument.folder)
    await database.space('s').put(Buffer.from('k'), Buffer.from('v'))
    process.stdout.write('open')
    setInterval(() => {}, 1000)`
  const child = startChildModule(t, program, { argument: { folder } })
  await once(child.stdout!, 'data')
  await assert.rejects(openDatabase(folder), (error) => hasCode(error, 'repo-held'))
  child.kill('SIGKILL')
  await once(child, 'exit')
  const database = await open(t, folder)
  assert.equal(await database.space('s').has(text('k')), true)
  await assert.rejects(openDatabase(folder), (error) => hasCode(error, 'repo-held'))
})

test('a database that cannot be opened or used is an error of local files', async (t) => {
  const folder = await makeTempDir(t)
  await writeFile(join(folder, 'file'), '')
  await assert.rejects(openDatabase(join(folder, 'file')), (error) => hasCode(error, 'io'))

  const database = await openDatabase(join(folder, 'database'))
  const space = database.space('s')
  await database.close()
  await assert.rejects(space.get(text('k')), (error) => hasCode(error, 'io'))

  const manifest = (await readdir(join(folder, 'database'))).find((name) => name.startsWith('MANIFEST'))!
  await writeFile(join(folder, 'database', manifest), 'damaged')
  await assert.rejects(openDatabase(join(folder, 'database')), (error) => hasCode(error, 'io'))
})

test('a synced write is on disk when it returns', { skip: noStrace }, async (t) => {
  const folder = await makeTempDir(t)
  const log = join(await makeTempDir(t), 'strace')
  const program = `
    const { openDatabase } = await load('database/database')
    const database = await openDatabase(argument.folder)
    const space = database.space('s')
    process.stdout.write('unsynced\\n')
    await space.put(Buffer.from('k'), Buffer.from('v'))
    process.stdout.write('synced\\n')
    await space.put(Buffer.from('l'), Buffer.from('v'), { sync: true })
    process.stdout.write('end\\n')`
  const prefix = ['strace', '-f', '-y', '-o', log, '-e', 'trace=fsync,fdatasync,write']
  await runChildModule(t, program, { argument: { folder }, prefix })
  const lines = (await readFile(log, 'utf8')).split('\n')
  const mark = (word: string) => lines.findIndex((line) => line.includes(`"${word}\\n"`))
  const syncs = (from: string, to: string) =>
    lines.slice(mark(from), mark(to)).filter((line) => /f(data)?sync\(\d+<.*\.log>/.test(line)).length
  assert.equal(syncs('unsynced', 'synced'), 0)
  assert.equal(syncs('synced', 'end'), 1)
})
