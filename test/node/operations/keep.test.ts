/** What is kept, asked of nodes that reach each other: pinning what is elsewhere, collecting, verifying, repairing. */

import '../../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { hasCode } from '../../../src/common/errors.ts'
import { MiB } from '../../../src/common/units.ts'
import { parseCid } from '../../../src/dag/cid.ts'
import type { PinEntry } from '../../../src/node/api/pins.ts'
import type { Node } from '../../../src/node/open.ts'
import { bitFlips } from '../../faults/campaigns/bit-flips.ts'
import { Sample } from '../../faults/sample.ts'
import { randomBytes } from '../../support/bytes.ts'
import { addFolder, makeNode, verified } from '../../support/made-node.ts'
import { damageStored } from '../../support/stored-blocks.ts'
import { makeTempDir } from '../../support/temp.ts'
import { until } from '../../support/until.ts'

async function pinsOf(node: Node, all = true): Promise<PinEntry[]> {
  const entries: PinEntry[] = []
  const { pins } = await node.run('pin-ls', { all, onEvent: (entry) => void entries.push(entry) })
  assert.equal(pins, entries.length)
  return entries
}

const kindsOf = (entries: PinEntry[]) => entries.map(({ kind, name }) => `${kind} ${name}`).sort()

test('pin add fetches what is not here into the store, and nothing of it depends on a file', async (t) => {
  const seeder = await makeNode(t, { serves: true })
  const cid = await addFolder(seeder, { film: randomBytes('film', 3 * MiB), 'bad\\name': Buffer.from('x') })
  const receiver = await makeNode(t)
  const { node } = receiver
  const peers = seeder.node.multiaddrs()
  await node.get(`${cid}/film`, { target: { kind: 'path', path: join(receiver.folder, 'film') }, peers })
  const { bytes, kind, receivedBytes } = await node.run('pin-add', { ref: cid, name: 'mine', peers })
  assert.deepEqual({ bytes, kind }, { bytes: 3 * MiB + 1, kind: 'recursive' })
  assert.ok(receivedBytes < MiB, 'what the download left was taken from its file')
  await rm(join(receiver.folder, 'film'))
  assert.deepEqual(kindsOf(await pinsOf(node)), ['kept film', 'recursive mine'])
  assert.deepEqual(kindsOf(await pinsOf(node, false)), ['recursive mine'])
  const { problems } = await verified(node)
  assert.deepEqual([...new Set(problems.map((problem) => problem.kind))], ['dangling-reference'])

  const again = await node.run('pin-add', { ref: cid, offline: true })
  assert.equal(again.receivedBytes, 0)
  await node.get(cid, { target: { kind: 'path', path: join(receiver.folder, 'tmp') }, offline: true })
  assert.deepEqual(kindsOf(await pinsOf(node, false)), ['recursive mine'])
  await assert.rejects(
    node.run('pin-add', { ref: 'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e', offline: true }),
    (error) => hasCode(error, 'not-found'),
  )
})

test('add --name names the pin, and adding the same again under another name of a file does not', async (t) => {
  const { node, folder } = await makeNode(t)
  for (const [file, name] of [['a'], ['b', 'release'], ['c']] as const) {
    const path = join(folder, file)
    await writeFile(path, 'content')
    await node.add([{ path }], { name })
  }
  assert.deepEqual(kindsOf(await pinsOf(node)), ['recursive release'])
})

test('a direct pin keeps one block, and what was never pinned is told', async (t) => {
  const { node, folder, warnings } = await makeNode(t)
  const cid = await addFolder({ node, folder, warnings }, { film: randomBytes('film', 2 * MiB) })
  await node.run('pin-rm', { cids: [cid] })
  assert.deepEqual(await node.run('pin-rm', { cids: [cid] }), {
    removed: [],
    failures: [{ cid, message: 'it is not pinned' }],
  })
  const { kind } = await node.run('pin-add', { ref: cid, direct: true })
  assert.equal(kind, 'direct')
  const { blocks } = await node.run('gc', { dryRun: true })
  assert.equal((await node.run('repo', {})).blocks, blocks + 1)
  assert.equal((await node.run('gc', {})).blocks, blocks)
  const state = await node.run('repo', {})
  assert.deepEqual(
    { ...state, path: '', bytes: 0 },
    { path: '', version: '3', blocks: 1, bytes: 0, references: 0, pins: 1, downloads: 0, maxBytes: null },
  )
  assert.equal((await verified(node)).result.problems, 0)
})

test('a download whose block is pinned by itself is listed as both', async (t) => {
  const made = await makeNode(t)
  const { node } = made
  const cid = await addFolder(made, { film: randomBytes('film', 100) })
  await node.run('pin-rm', { cids: [cid] })
  await node.get(cid, { target: { kind: 'path', path: join(made.folder, 'copy') }, offline: true })
  assert.equal((await node.run('pin-add', { ref: cid, direct: true })).kind, 'direct')
  assert.deepEqual(kindsOf(await pinsOf(node)), ['direct copy', 'kept copy'])
  assert.deepEqual(kindsOf(await pinsOf(node, false)), ['direct copy'])
  const { pins, downloads } = await node.run('repo', {})
  assert.deepEqual([pins, downloads], [1, 1])
})

test('of 200 blocks with a flipped bit none is served, all are found, and all are repaired', async (t) => {
  const ground = { scope: t, folder: await makeTempDir(t), sample: new Sample('test', 1) }
  assert.deepEqual(await bitFlips.run(ground), { points: 200, violations: [] })
})

test('a file that has not changed is read again once a block was found damaged', async (t) => {
  const { node, folder } = await makeNode(t)
  // Files that were changed just now are read again in any case.
  const path = join(import.meta.dirname, '../../../../LICENSE')
  const add = async () => (await node.add([{ path }])).roots[0]!.cid
  const cid = await add()
  await damageStored(join(folder, 'repo', 'blocks'), [parseCid(cid)])
  const read = node.run('block-get', { ref: cid, offline: true, write: async () => {} })
  await assert.rejects(read, (error) => hasCode(error, 'not-found'))
  assert.equal(await add(), cid)
  assert.equal((await verified(node)).result.problems, 0)
})

test('a block that could not be synced fails its own add, and none after it', async (t) => {
  const { node, folder } = await makeNode(t)
  const addNow = async (name: string) => {
    const path = join(folder, name)
    await writeFile(path, name)
    return await node.add([{ path }])
  }
  const handle = await open(folder, 'r')
  const failing = t.mock.method(Object.getPrototypeOf(handle), 'datasync', async () => {
    throw Object.assign(new Error('broken'), { code: 'EIO' })
  })
  await handle.close()
  await assert.rejects(addNow('one'), (error) => hasCode(error, 'io'))
  failing.mock.restore()
  await addNow('two')
  await addNow('one')
  assert.equal((await verified(node)).result.problems, 0)
})

test('a store with a limit takes what fits, makes room by itself, and says when there is none', async (t) => {
  const made = await makeNode(t, { config: { store: { maxSize: '4MiB', highWater: 100, lowWater: 50 } } })
  const { node, folder } = made
  const addNow = async (seed: string, options = {}) => {
    const path = join(folder, seed)
    await writeFile(path, randomBytes(seed, 3 * MiB))
    return (await node.add([{ path }], options)).roots[0]!.cid
  }
  await addNow('loose', { pin: false })
  const pinned = await addNow('pinned')
  assert.ok(
    made.warnings.some((warning) => warning.includes('above its mark')),
    made.warnings.join(),
  )
  await assert.rejects(
    addNow('too much'),
    (error) => hasCode(error, 'disk-full') && /p2p pin rm/.test(error.hint ?? ''),
  )
  assert.deepEqual(
    (await pinsOf(node)).map(({ cid }) => cid),
    [pinned],
  )
  assert.equal((await verified(node)).result.problems, 0)
  await node.run('pin-rm', { cids: [pinned] })
  await addNow('too much')
})

test('what is larger than an empty store may get is told that nothing can be given up for it', async (t) => {
  const { node, folder } = await makeNode(t, { config: { store: { maxSize: '4MiB' } } })
  const path = join(folder, 'larger')
  await writeFile(path, randomBytes('larger', 32 * MiB))
  await assert.rejects(
    node.add([{ path }]),
    (error) => hasCode(error, 'disk-full') && /4.0 MiB/.test(error.message) && /^Nothing else/.test(error.hint ?? ''),
  )
})

test('what is imported from a CAR file or downloaded is announced at once, downloads only if that is wanted', {
  timeout: 60_000,
}, async (t) => {
  const source = await makeNode(t)
  const car = join(source.folder, 'source.car')
  const imported = await addFolder(source, { film: randomBytes('film', 100) })
  await source.node.run('car-export', { ref: imported, output: car })
  for (const downloads of [true, false]) {
    const made = await makeNode(t, { serves: true, config: { seed: { downloads } } })
    const { node, folder } = made
    const expected = [await addFolder(made, { first: Buffer.from('first') })]
    const announced: string[] = []
    node.startAnnouncing({ onAnnounced: ({ cid }) => announced.push(cid) })
    const allAnnounced = () => until(t, () => announced.length >= expected.length)
    await allAnnounced()
    await node.run('car-import', { path: car })
    expected.push(imported)
    await allAnnounced()
    const { cid } = await node.run('block-put', { content: Readable.from([Buffer.from('downloaded')]) })
    await node.get(cid, { target: { kind: 'path', path: join(folder, 'kept') }, offline: true })
    if (downloads) expected.push(cid)
    await allAnnounced()
    const film = await node.get(`${imported}/film`, {
      target: { kind: 'path', path: join(folder, 'film') },
      offline: true,
      pin: true,
    })
    expected.push(film.cid)
    await allAnnounced()
    assert.deepEqual(announced, expected)
  }
})
