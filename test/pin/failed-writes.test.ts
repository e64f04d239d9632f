/** Pins whose writing has failed, which may be there all the same once the database can be used again. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { firedAt, interceptEnv, readCalls } from '../faults/calls/intercept.ts'
import { runChildModule } from '../support/child-module.ts'
import { intercept } from '../support/intercept.ts'
import { makeTempDir } from '../support/temp.ts'

/** Pins one block after the other until it fails, then does what a server goes on with: another pin, and a collection. */
const PROGRAM = `
  const { createHash } = await import('node:crypto')
  const { systemClock } = await load('common/clock')
  const { openDatabase } = await load('database/database')
  const { DiskBlockStore } = await load('blockstore/disk-blockstore')
  const { References } = await load('blockstore/references')
  const { collectGarbage } = await load('pin/gc')
  const { Pins } = await load('pin/pins')
  const { rawCid } = await load('dag/cid')
  const Digest = await import('multiformats/hashes/digest')
  // Another call has failed than those that are meant.
  process.on('uncaughtException', () => process.exit(1))

  const database = await openDatabase(argument + '/database')
  const blocks = await DiskBlockStore.open(argument + '/blocks', database)
  const references = new References(database)
  const pins = new Pins(database, systemClock)
  const cidOf = (text) => rawCid(Digest.create(0x12, createHash('sha256').update(text).digest()))
  const pin = (text) => pins.holding(async (hold) => {
    const cid = cidOf(text)
    await hold.over(blocks).put(cid, Buffer.from(text))
    await pins.add({ cid, bytes: text.length, kind: 'recursive' }, hold)
  })
  await pin('first')
  const failed = await pin('failed').then(() => false, (error) => error.code)
  await collectGarbage({ blocks, references, pins })
  await pin('next')
  await collectGarbage({ blocks, references, pins })
  const isPinned = await pins.has(cidOf('failed'))
  const isHere = await blocks.has(cidOf('failed'))
  await pins.remove(cidOf('failed'))
  await collectGarbage({ blocks, references, pins })
  const isGone = !(await blocks.has(cidOf('failed')))
  const others = await blocks.has(cidOf('first')) && await blocks.has(cidOf('next'))
  await blocks.close()
  references.close()
  await database.close()
  process.stdout.write(JSON.stringify({ failed, isPinned, isHere, isGone, others }))`

interface Outcome {
  failed: string | false
  isPinned: boolean
  isHere: boolean
  isGone: boolean
  others: boolean
}

test('what a pin needs that was reported as failed stays exactly as long as the pin is there', {
  skip: intercept.why,
}, async (t) => {
  const library = await intercept.library(t)
  const outcomes: Outcome[] = []
  for (const name of ['write', 'fdatasync'] as const) {
    for (let at = 1; ; at++) {
      const folder = await makeTempDir(t)
      const log = join(await makeTempDir(t), 'calls')
      const fault = { at, errno: 'EIO' } as const
      const env = interceptEnv(library, { watched: [join(folder, 'database')], log, counted: [name], fault })
      const output = await runChildModule(t, PROGRAM, { argument: folder, env }).catch(() => undefined)
      if (firedAt(await readCalls(log)) === undefined) break
      const outcome = output === undefined ? undefined : (JSON.parse(output) as Outcome)
      if (outcome !== undefined && outcome.failed !== false) outcomes.push(outcome)
    }
  }
  assert.ok(
    outcomes.some(({ isPinned }) => isPinned),
    'none came back',
  )
  assert.ok(
    outcomes.some(({ isPinned }) => !isPinned),
    'none was lost',
  )
  for (const { isPinned, isHere, ...rest } of outcomes) {
    assert.equal(isHere, isPinned)
    assert.deepEqual(rest, { failed: 'io', isGone: true, others: true })
  }
})
