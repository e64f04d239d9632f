/** A database that could not write for a while, on a disk that is really full. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { hasCode } from '../../src/common/errors.ts'
import { KiB } from '../../src/common/units.ts'
import { type Database, openDatabase } from '../../src/database/database.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { noSmallDisk, SmallDisk } from '../support/small-disk.ts'
import { makeTempDir } from '../support/temp.ts'

const skip = noSmallDisk

interface Filled {
  disk: SmallDisk
  folder: string
  database: Database
  /** Keys of the records that were acknowledged. */
  acknowledged: string[]
}

const value = Buffer.alloc(5000, 'v')

/** Writes, every third record synced, until the disk is full. @param room - bytes that are left to the database's files */
async function fill(t: TestContext, { room, mib = 16 }: { room: number; mib?: number }): Promise<Filled> {
  const disk = await SmallDisk.make(t, await makeTempDir(t), mib)
  const folder = join(disk.folder, 'database')
  const database = await openDatabase(folder)
  cleanUpAfter(t, () => database.close())
  const filled = { disk, folder, database, acknowledged: [] as string[] }
  await write(filled, 'before', 3)
  await disk.fill(room)
  await assert.rejects(write(filled, 'filling', 10_000), (error) => hasCode(error, 'disk-full'))
  return filled
}

async function write({ database, acknowledged }: Filled, name: string, count: number): Promise<void> {
  const space = database.space('s')
  for (let index = 0; index < count; index++) {
    const key = `${name} ${index}`
    await space.put(Buffer.from(key), value, { sync: index % 3 === 0 })
    acknowledged.push(key)
  }
}

/** The database may still remove files that it does not need any more, which gives room to a write or two. */
async function untilRefused(filled: Filled): Promise<void> {
  for (;;) {
    await filled.disk.fill()
    try {
      await write(filled, `full ${filled.acknowledged.length}`, 1)
    } catch (error) {
      if (hasCode(error, 'disk-full')) return
      throw error
    }
  }
}

async function missing(database: Database, keys: readonly string[]): Promise<string[]> {
  const found = await database.space('s').getMany(keys.map((key) => Buffer.from(key)))
  return keys.filter((_, index) => found[index]?.byteLength !== value.byteLength)
}

for (const [what, room] of [
  ['a log', 40 * KiB],
  ['a table', 6.5 * 1024 * KiB],
] as const) {
  test(`a disk that fills up while ${what} is written: all that was acknowledged stays, and once there is room it goes on`, {
    skip,
  }, async (t) => {
    const filled = await fill(t, { room })
    const { disk, folder, database, acknowledged } = filled
    for (let attempt = 0; attempt < 3; attempt++) {
      await untilRefused(filled)
      assert.deepEqual(await missing(database, acknowledged), [])
    }
    await disk.relieve()
    await write(filled, 'after', 50)
    assert.deepEqual(await missing(database, acknowledged), [])
    await database.close()
    const again = await openDatabase(folder)
    cleanUpAfter(t, () => again.close())
    assert.deepEqual(await missing(again, acknowledged), [])
  })
}

test('many who write at once when the disk fills up: what is acknowledged to any of them stays', {
  skip,
}, async (t) => {
  const filled = await fill(t, { room: 300 * KiB })
  const { disk, folder, database, acknowledged } = filled
  for (const round of [1, 2, 3]) {
    await disk.relieve()
    await disk.fill(150 * KiB)
    const writers = Array.from({ length: 8 }, (_, index) => write(filled, `${round} writer ${index}`, 40))
    const ends = await Promise.allSettled(writers)
    assert.ok(ends.some(({ status }) => status === 'rejected'))
  }
  await disk.relieve()
  await write(filled, 'after', 3)
  await database.close()
  const again = await openDatabase(folder)
  cleanUpAfter(t, () => again.close())
  assert.deepEqual(await missing(again, acknowledged), [])
})

test('who reads through the records goes on where the database is opened anew', { skip }, async (t) => {
  const filled = await fill(t, { room: 40 * KiB })
  const { disk, database } = filled
  const seen: string[] = []
  for await (const [key] of database.space('s').iterate()) {
    seen.push(Buffer.from(key).toString())
    if (seen.length !== 2) continue
    await disk.relieve()
    await write(filled, 'zzz', 1)
  }
  assert.deepEqual(seen, filled.acknowledged.toSorted())
})

test('a libp2p datastore goes on as well, also for who reads through it, and what fails in it harms nothing else', {
  skip,
}, async (t) => {
  const disk = await SmallDisk.make(t, await makeTempDir(t), 8)
  const database = await openDatabase(join(disk.folder, 'database'))
  cleanUpAfter(t, () => database.close())
  const filled = { disk, folder: join(disk.folder, 'database'), database, acknowledged: [] as string[] }
  const datastore = await database.datastore('libp2p')
  const key = (name: string) => ({ toString: () => name }) as Parameters<typeof datastore.put>[0]
  for (const name of ['/first', '/second', '/third']) await datastore.put(key(name), value)
  const read: string[] = []
  for await (const pair of datastore.query({ prefix: '/' })) {
    read.push(pair.key.toString())
    if (read.length > 1) continue
    await disk.fill(20 * KiB)
    await assert.rejects(async () => {
      for (let index = 0; index < 100; index++) await datastore.put(key(`/filling/${index}`), value)
    })
    await disk.relieve()
    await write(filled, 'after', 5)
    await datastore.put(key('/after'), value)
  }
  assert.deepEqual([read[0], ...read.slice(-2)], ['/first', '/second', '/third'])
  assert.equal((await datastore.get(key('/first'))).byteLength, value.byteLength)
  await database.close()
  const again = await openDatabase(filled.folder)
  cleanUpAfter(t, () => again.close())
  assert.deepEqual(await missing(again, filled.acknowledged), [])
})
