import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { blockKey, DAG_PB } from '../../src/dag/cid.ts'
import { type Database, openDatabase } from '../../src/database/database.ts'
import { type NewPin, type Pin, Pins } from '../../src/pin/pins.ts'
import { numberedBlock, randomBlock } from '../support/blocks.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'

let now = 1_700_000_000_000
const clock = { monotonicMs: () => now, wallMs: () => now }

async function open(t: TestContext): Promise<{ database: Database; pins: Pins }> {
  const database = await openDatabase(join(await makeTempDir(t), 'database'))
  cleanUpAfter(t, () => database.close())
  return { database, pins: new Pins(database, clock) }
}

/** Pins a root that consists of these blocks. */
async function keep(pins: Pins, pin: NewPin, blocks: CID[] = [pin.cid]): Promise<void> {
  await pins.holding(async (hold) => {
    await hold.add(blocks)
    await pins.add(pin, hold)
  })
}

async function listed(pins: Pins): Promise<Pin[]> {
  const all: Pin[] = []
  for await (const pin of pins.list()) all.push(pin)
  return all
}

test('keeps what was added until it is removed', async (t) => {
  const { database, pins } = await open(t)
  const { cid } = randomBlock('root', 10)
  const other = randomBlock('other', 10).cid
  assert.equal(await pins.has(cid), false)
  await keep(pins, { cid, name: 'a file', bytes: 10, kind: 'recursive' })
  await keep(pins, { cid: other, bytes: 0, kind: 'kept' })
  assert.equal(await pins.has(cid), true)

  const again = new Pins(database, clock)
  const found = await listed(again)
  assert.deepEqual(
    found.map((pin) => [pin.cid.toString(), pin.name, pin.bytes, pin.kind, pin.createdAt]).sort(),
    [
      [cid.toString(), 'a file', 10, 'recursive', now],
      [other.toString(), undefined, 0, 'kept', now],
    ].sort(),
  )
  await again.remove(cid)
  await again.remove(cid)
  assert.equal(await pins.has(cid), false)
  assert.equal((await listed(pins)).length, 1)
})

test('a pin is never weakened, and keeps its age', async (t) => {
  const { pins } = await open(t)
  const { cid } = randomBlock('root', 10)
  const createdAt = now
  await keep(pins, { cid, name: 'first', bytes: 10, kind: 'kept' })
  now += 1000
  await Promise.all([keep(pins, { cid, bytes: 10, kind: 'recursive' }), keep(pins, { cid, bytes: 10, kind: 'kept' })])
  const [pin, ...rest] = await listed(pins)
  assert.deepEqual([pin?.kind, pin?.name, pin?.createdAt, rest.length], ['recursive', 'first', createdAt, 0])
})

test('a name is what was asked for last, and what a file is called only if nobody asked', async (t) => {
  const { pins } = await open(t)
  const { cid } = randomBlock('root', 10)
  const nameAfter = async (names: Pick<NewPin, 'name' | 'suggestedName'>) => {
    await keep(pins, { cid, ...names, bytes: 10, kind: 'recursive' })
    return (await pins.get(cid))?.name
  }
  assert.equal(await nameAfter({}), undefined)
  assert.equal(await nameAfter({ suggestedName: 'film' }), 'film')
  assert.equal(await nameAfter({ name: 'release', suggestedName: 'film' }), 'release')
  assert.equal(await nameAfter({ suggestedName: 'tmp.bin' }), 'release')
  assert.equal(await nameAfter({ name: 'final' }), 'final')
})

test('a download and a direct pin of its root stay two things, whichever came first', async (t) => {
  const { pins } = await open(t)
  const [root, leaf] = [randomBlock('root', 10).cid, randomBlock('leaf', 10).cid]
  const direct = () => keep(pins, { cid: root, bytes: 10, kind: 'direct' })
  const download = () => keep(pins, { cid: root, bytes: 5000, kind: 'kept', isPartial: true }, [root, leaf])
  const heldNow = async () => [await pins.isHeld(blockKey(root)), await pins.isHeld(blockKey(leaf))]
  for (const steps of [
    [direct, download],
    [download, direct],
    [download, direct, download, direct],
  ]) {
    for (const step of steps) await step()
    const { kind, bytes, blockBytes, isPartial } = (await pins.get(root))!
    assert.deepEqual(
      { kind, bytes, blockBytes, isPartial },
      { kind: 'kept', bytes: 5000, blockBytes: 10, isPartial: true },
    )
    assert.deepEqual(await heldNow(), [true, true])

    assert.equal(await pins.remove(root, { kind: 'kept' }), true)
    const left = (await pins.get(root))!
    assert.deepEqual([left.kind, left.bytes, left.usedAt], ['direct', 10, undefined])
    assert.deepEqual(await heldNow(), [true, false])
    assert.equal(await pins.remove(root, { kind: 'kept' }), false)
    await pins.remove(root)
    assert.deepEqual(await heldNow(), [false, false])
  }
  await download()
  await direct()
  await keep(pins, { cid: root, bytes: 5000, kind: 'recursive' }, [root, leaf])
  const { kind, blockBytes } = (await pins.get(root))!
  assert.deepEqual([kind, blockBytes], ['recursive', undefined])
})

test('pinning the bytes of a folder node as raw does not lose the folder', async (t) => {
  const { pins } = await open(t)
  const raw = randomBlock('node', 10).cid
  const folder = CID.createV1(DAG_PB, raw.multihash)
  await keep(pins, { cid: folder, bytes: 5000, kind: 'recursive' })
  await keep(pins, { cid: raw, bytes: 10, kind: 'recursive' })
  assert.deepEqual(
    (await listed(pins)).map(({ cid, bytes }) => [cid.toString(), bytes]),
    [[folder.toString(), 5000]],
  )

  await pins.remove(raw)
  await keep(pins, { cid: raw, bytes: 10, kind: 'recursive' })
  await keep(pins, { cid: folder, bytes: 5000, kind: 'recursive' })
  assert.deepEqual(
    (await listed(pins)).map(({ cid, bytes }) => [cid.toString(), bytes]),
    [[folder.toString(), 5000]],
  )
})

test('a hold becomes one pin, so that giving up another one takes nothing from it', async (t) => {
  const { pins } = await open(t)
  const [one, other] = [randomBlock('one', 10).cid, randomBlock('other', 10).cid]
  await pins.holding(async (hold) => {
    await hold.add([one, other])
    await pins.add({ cid: one, bytes: 10, kind: 'recursive' }, hold)
    await pins.add({ cid: one, name: 'again', bytes: 10, kind: 'recursive' }, hold)
    await assert.rejects(pins.add({ cid: other, bytes: 10, kind: 'recursive' }, hold), { code: 'internal' })
    assert.equal(await pins.isInUse(blockKey(one)), true)
  })
  assert.equal(await pins.isInUse(blockKey(one)), false)
  assert.equal(await pins.isHeld(blockKey(one)), true)
  assert.equal(await pins.has(other), false)
})

test('many blocks are held while they are written to the index, and after', async (t) => {
  const { pins } = await open(t)
  const cids = Array.from({ length: 20_000 }, (_, index) => numberedBlock(index).cid)
  const root = cids[0]!
  const all = async () => {
    for (const index of [0, 1, 16_384, 19_999]) assert.equal(await pins.isHeld(blockKey(cids[index]!)), true)
  }
  await pins.holding(async (hold) => {
    await Promise.all(cids.map((cid) => hold.add([cid])))
    await all()
    await pins.add({ cid: root, bytes: 1, kind: 'recursive' }, hold)
  })
  await all()
  await pins.remove(root)
  assert.equal(await pins.isHeld(blockKey(root)), false)
})

test('a pin is synced before it is acknowledged, and so is its end', async (t) => {
  const { database, pins } = await open(t)
  const write = database.write.bind(database)
  const syncs: (boolean | undefined)[] = []
  database.write = async (writes, options) => {
    syncs.push(options?.sync)
    await write(writes, options)
  }
  const { cid } = randomBlock('synced', 10)
  await keep(pins, { cid, bytes: 10, kind: 'recursive' })
  assert.deepEqual(syncs.splice(0), [true])
  await pins.remove(cid)
  assert.deepEqual(syncs, [true])
})

test('whoever begins to hold a block waits while it may be removed', async (t) => {
  const { pins } = await open(t)
  const { cid } = randomBlock('removed', 10)
  const events: string[] = []
  let held: Promise<void> | undefined
  await pins.holding(async (hold) => {
    await pins.removeUnheld([blockKey(cid)], async () => {
      held = hold.add([cid]).then(() => void events.push('held'))
      // Longer than it takes to find that nobody removes anything.
      await pins.has(cid)
      events.push('removed')
    })
    await held
  })
  assert.deepEqual(events, ['removed', 'held'])
})
