/** Pins whose writing has failed, which may be there all the same once the database can be used again. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { systemClock } from '../../src/common/clock.ts'
import { hasCode } from '../../src/common/errors.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { openDatabase } from '../../src/database/database.ts'
import { Pins } from '../../src/pin/pins.ts'
import { firedAt, interceptEnv, readCalls } from '../faults/calls/intercept.ts'
import { numberedBlock } from '../support/blocks.ts'
import { runChildModule } from '../support/child-module.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { intercept } from '../support/intercept.ts'
import { noSmallDisk, SmallDisk } from '../support/small-disk.ts'
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

test('while a disk stays full few pins are in doubt, however many fail, and none is when there is room', {
  skip: noSmallDisk,
}, async (t) => {
  const disk = await SmallDisk.make(t, await makeTempDir(t), 8)
  const database = await openDatabase(join(disk.folder, 'database'))
  cleanUpAfter(t, () => database.close())
  const pins = new Pins(database, systemClock)
  const pin = (index: number) =>
    pins.holding(async (hold) => {
      const { cid } = numberedBlock(index)
      await hold.add([cid])
      // So large that it does not fit between others.
      await pins.add({ cid, name: 'n'.repeat(5000), bytes: 0, kind: 'recursive' }, hold)
    })
  await disk.fill()
  const failed: CID[] = []
  for (let index = 0; index < 60; index++) {
    await pin(index).catch((error) => {
      assert.ok(hasCode(error, 'disk-full'), String(error))
      failed.push(numberedBlock(index).cid)
    })
  }
  assert.ok(failed.length > 50, `${failed.length} have failed`)
  const inUse = async () => {
    const uses = await Promise.all(failed.map((cid) => pins.isInUse(blockKey(cid))))
    return uses.filter(Boolean).length
  }
  const inDoubt = await inUse()
  assert.ok(inDoubt > 0 && inDoubt <= 16, `${inDoubt} are in doubt`)

  await disk.relieve()
  await pin(1000)
  const held = await Promise.all(failed.map((cid) => pins.isHeld(blockKey(cid))))
  const pinned = await Promise.all(failed.map((cid) => pins.has(cid)))
  assert.equal(await inUse(), 0)
  assert.deepEqual(held, pinned)
})
