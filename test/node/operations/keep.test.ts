/** What is kept, asked of nodes that reach each other: pinning what is elsewhere, collecting, verifying, repairing. */

import '../../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { sharding } from '../../../src/blockstore/sharding.ts'
import { hasCode } from '../../../src/common/errors.ts'
import { MiB } from '../../../src/common/units.ts'
import { parseCid } from '../../../src/dag/cid.ts'
import type { PinEntry, VerifiedProblem } from '../../../src/node/api/pins.ts'
import { type Node, openNode } from '../../../src/node/open.ts'
import { resolveLocation } from '../../../src/repo/location.ts'
import { damaged } from '../../support/blocks.ts'
import { randomBytes } from '../../support/bytes.ts'
import { cleanUpAfter } from '../../support/clean-up.ts'
import { makeTempDir } from '../../support/temp.ts'

interface MadeNode {
  node: Node
  folder: string
  warnings: string[]
}

async function makeNode(t: TestContext, { serves = false, config = {} } = {}): Promise<MadeNode> {
  const folder = await makeTempDir(t)
  await mkdir(join(folder, 'repo'), { mode: 0o700 })
  await writeFile(join(folder, 'repo', 'config.json'), JSON.stringify(config))
  const warnings: string[] = []
  const node = await openNode({
    location: resolveLocation({ repo: join(folder, 'repo'), env: {}, home: folder, cwd: folder }),
    command: 'p2p test',
    holdTimeoutMs: 0,
    role: serves ? 'server' : 'client',
    listen: serves ? ['/ip4/127.0.0.1/tcp/0'] : [],
    bootstrap: [],
    onProgress: (event) => {
      if (event.type === 'warning') warnings.push(event.message)
    },
  })
  cleanUpAfter(t, () => node.close())
  if (serves) await node.startNetwork()
  return { node, folder, warnings }
}

async function addFolder({ node, folder }: MadeNode, files: Record<string, Uint8Array>): Promise<string> {
  const source = join(folder, 'source')
  await mkdir(source)
  for (const [name, content] of Object.entries(files)) await writeFile(join(source, name), content)
  const { roots } = await node.add([{ path: source }])
  return roots[0]!.cid
}

async function pinsOf(node: Node, all = true): Promise<PinEntry[]> {
  const entries: PinEntry[] = []
  const { pins } = await node.run('pin-ls', { all, onEvent: (entry) => void entries.push(entry) })
  assert.equal(pins, entries.length)
  return entries
}

async function verified(node: Node, options: { repair?: boolean; peers?: string[]; offline?: boolean } = {}) {
  const problems: VerifiedProblem[] = []
  const result = await node.run('verify', { ...options, onEvent: (problem) => void problems.push(problem) })
  return { problems, result }
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
    { path: '', version: '2', blocks: 1, bytes: 0, references: 0, pins: 1, downloads: 0, maxBytes: null },
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
  const files = Object.fromEntries(Array.from({ length: 220 }, (_, i) => [`file ${i}`, randomBytes(`file ${i}`, 500)]))
  const good = await makeNode(t, { serves: true })
  const bad = await makeNode(t, { serves: true })
  const cid = await addFolder(good, files)
  await addFolder(bad, files)
  const blocks = join(bad.folder, 'repo', 'blocks')
  const flipped = new Set<string>()
  for (const path of await readdir(blocks, { recursive: true })) {
    if (!path.endsWith('.data') || flipped.size === 200) continue
    const content = await readFile(join(blocks, path))
    // The folder tells what to ask for.
    if (content.byteLength !== 500) continue
    await writeFile(join(blocks, path), damaged(content))
    flipped.add(sharding.decode(path).toString())
  }
  assert.equal(flipped.size, 200)

  const receiver = await makeNode(t)
  const peers = bad.node.multiaddrs()
  const target = { kind: 'path', path: join(receiver.folder, 'result') } as const
  await assert.rejects(receiver.node.get(cid, { target, peers, timeoutMs: 2000 }))
  assert.ok((await receiver.node.run('repo', {})).blocks <= 21, 'what was served is right')
  assert.ok(bad.warnings.some((warning) => warning.includes('was damaged on this disk')))

  const { problems } = await verified(bad.node)
  assert.deepEqual(new Set(problems.map((problem) => problem.cid)), flipped)
  const alone = await verified(bad.node, { repair: true, offline: true })
  assert.equal(alone.result.repaired, 0)
  const { result } = await verified(bad.node, { repair: true, peers: good.node.multiaddrs() })
  assert.deepEqual([result.problems, result.repaired], [200, 200])
  assert.equal((await verified(bad.node)).result.problems, 0)
  await receiver.node.get(cid, { target, peers })
})

test('a file that has not changed is read again once a block was found damaged', async (t) => {
  const { node, folder } = await makeNode(t)
  // Files that were changed just now are read again in any case.
  const path = join(import.meta.dirname, '../../../../LICENSE')
  const add = async () => (await node.add([{ path }])).roots[0]!.cid
  const cid = await add()
  const { dir, file } = sharding.encode(parseCid(cid))
  await writeFile(join(folder, 'repo', 'blocks', dir, file), 'damaged')
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
  await assert.rejects(addNow('too much'), (error) => hasCode(error, 'disk-full'))
  assert.deepEqual(
    (await pinsOf(node)).map(({ cid }) => cid),
    [pinned],
  )
  assert.equal((await verified(node)).result.problems, 0)
  await node.run('pin-rm', { cids: [pinned] })
  await addNow('too much')
})
