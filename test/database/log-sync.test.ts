import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openDatabase } from '../../src/database/database.ts'
import { interceptEnv, readCalls, type SystemCall } from '../faults/calls/intercept.ts'
import { materialise, stateAfter } from '../faults/power-loss/crash-state.ts'
import { Disk } from '../faults/power-loss/disk.ts'
import { runChildModule } from '../support/child-module.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { intercept } from '../support/intercept.ts'
import { makeTempDir } from '../support/temp.ts'

/** Writes without a sync until LevelDB has begun another log and the old one is no table yet; then one write with it. */
const FILL_A_LOG = `
  const { openDatabase } = await load('database/database')
  const { readdirSync } = await import('node:fs')
  const database = await openDatabase(argument)
  const space = database.space('test')
  const value = Buffer.alloc(60_000)
  let last = 0
  const logs = () => readdirSync(argument).filter((name) => name.endsWith('.log'))
  while (logs().length < 2) await space.put(Buffer.from(String(last++)), value)
  await space.put(Buffer.from('acknowledged'), value, { sync: true })
  console.log(last)`

interface Recording {
  calls: SystemCall[]
  before: Disk
  /** How many records were written before the one that was synced. */
  records: number
  folder: string
}

async function record(t: TestContext, library: string): Promise<Recording> {
  const site = await makeTempDir(t)
  const before = await Disk.load(site)
  const folder = join(site, 'database')
  const log = join(await makeTempDir(t), 'calls')
  // So that the table, which takes many writes, is not there before the record that is synced.
  const env = interceptEnv(library, { watched: [site], log, withData: true, writeDelayMs: 5 })
  const output = await runChildModule(t, FILL_A_LOG, { argument: folder, env })
  return { calls: await readCalls(log), before, records: Number(output), folder }
}

test('a synced write makes what was written before it last, also in a log that is no longer written', {
  skip: intercept.why,
}, async (t) => {
  const { calls, before, records } = await record(t, await intercept.library(t))
  const acknowledged = calls.findIndex(({ name }) => name === 'stdout')
  for (const call of calls.slice(0, acknowledged)) before.apply(call)
  // The folder that the database was made in is its user's to sync.
  const place = join(await makeTempDir(t), 'site')
  const state = stateAfter(before.root, { content: 'lost', entries: 'kept', chance: () => 0 })
  await materialise(state, place)
  assert.ok((await readdir(join(place, 'database'))).length > 0)
  const database = await openDatabase(join(place, 'database'))
  cleanUpAfter(t, () => database.close())
  const space = database.space('test')
  const lost: string[] = []
  for (const name of [...Array(records).keys(), 'acknowledged'].map(String)) {
    if (!(await space.has(Buffer.from(name)))) lost.push(name)
  }
  assert.deepEqual(lost, [])
})

test('a database whose first files were lost with the power can be made again, and is not when it was whole', {
  skip: intercept.why,
}, async (t) => {
  const { calls, before, folder } = await record(t, await intercept.library(t))
  const named = calls.findIndex(({ name, second }) => name === 'rename' && second === join(folder, 'CURRENT'))
  for (const call of calls.slice(0, named + 1)) before.apply(call)
  const place = join(await makeTempDir(t), 'site')
  await materialise(stateAfter(before.root, { content: 'lost', entries: 'kept', chance: () => 0 }), place)
  await assert.rejects(openDatabase(join(place, 'database')), { code: 'io' })
  const database = await openDatabase(join(place, 'database'), { mayBeUnfinished: true })
  cleanUpAfter(t, () => database.close())
  await database.space('test').put(Buffer.from('a'), Buffer.from('b'), { sync: true })
})
