import assert from 'node:assert/strict'
import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { P2PError } from '../../src/common/errors.ts'
import { MiB } from '../../src/common/units.ts'
import { type BlockKey, blockKey } from '../../src/dag/cid.ts'
import { linksOf } from '../../src/dag/links.ts'
import { collectGarbage } from '../../src/pin/gc.ts'
import { randomBlock } from '../support/blocks.ts'
import { randomBytes } from '../support/bytes.ts'
import { makeTempDir } from '../support/temp.ts'
import { type KeptRepo, makeKeptRepo, streamOf } from './kept-repo.ts'

const file = (seed: string, mib = 2) => streamOf(seed, randomBytes(seed, mib * MiB))

async function stored(repo: KeptRepo): Promise<BlockKey[]> {
  const keys: BlockKey[] = []
  for await (const key of repo.blocks.keys()) keys.push(key)
  return keys.sort()
}

async function recordCount(repo: KeptRepo): Promise<number> {
  let records = 0
  for await (const _ of repo.pins.index.list()) records++
  return records
}

async function dagOf(repo: KeptRepo, root: CID): Promise<CID[]> {
  return [root, ...linksOf(root, (await repo.blocks.get(root))!)]
}

test('removes what no pin needs, says how much, and only says so in a dry run', async (t) => {
  const repo = await makeKeptRepo(t)
  const [root] = await repo.add([file('pinned')])
  const [loose] = await repo.add([file('loose')], { pin: false })
  const [gone] = await repo.add([file('gone', 3)])
  assert.equal(await repo.pins.remove(gone!), true)
  assert.equal(await repo.pins.remove(gone!), false)
  const sizes = await Promise.all(
    [...(await dagOf(repo, loose!)), ...(await dagOf(repo, gone!))].map((cid) => repo.blocks.size(cid)),
  )
  const expected = {
    blocks: 7,
    bytes: sizes.reduce((sum: number, size) => sum + size!, 0),
    references: 0,
    corruptBytes: 0,
  }
  const before = await stored(repo)
  assert.deepEqual(await collectGarbage(repo, { dryRun: true }), expected)
  assert.deepEqual(await stored(repo), before)
  assert.deepEqual(await collectGarbage(repo), expected)
  assert.deepEqual(await stored(repo), (await dagOf(repo, root!)).map(blockKey).sort())
  assert.equal(await recordCount(repo), 3, 'records of no worth go too')
  assert.deepEqual(await repo.check(), [])
  assert.deepEqual(await collectGarbage(repo), { blocks: 0, bytes: 0, references: 0, corruptBytes: 0 })
})

test('a block that two pins share stays with either, and a direct pin is one block', async (t) => {
  const repo = await makeKeptRepo(t)
  const [one] = await repo.add([streamOf('same', randomBytes('same', 100))])
  const { cid, bytes } = randomBlock('direct', 100)
  await repo.pins.holding(async (hold) => {
    await hold.over(repo.blocks).put(cid, bytes)
    await repo.pins.add({ cid, bytes: 100, kind: 'direct' }, hold)
  })
  const [folder] = await repo.add([{ path: await folderWith(t, 'same', randomBytes('same', 100)) }])
  await repo.pins.remove(one!)
  assert.equal((await collectGarbage(repo)).blocks, 0)
  assert.equal(await repo.pins.isHeld(blockKey(one!)), true)
  await repo.pins.remove(folder!)
  assert.equal((await collectGarbage(repo)).blocks, 2)
  assert.equal(await repo.pins.isHeld(blockKey(one!)), false)
  assert.equal(await repo.blocks.has(cid), true)
})

async function folderWith(t: Parameters<typeof makeTempDir>[0], name: string, content: Uint8Array): Promise<string> {
  const folder = await makeTempDir(t)
  await writeFile(join(folder, name), content)
  return folder
}

test('removes nothing while a pinned DAG cannot be walked, but does not look at its leaves', async (t) => {
  const repo = await makeKeptRepo(t)
  const [root] = await repo.add([file('pinned')])
  await repo.add([file('loose')], { pin: false })
  const [, leaf] = await dagOf(repo, root!)
  await repo.blocks.delete(leaf!)
  await repo.damage(root!)
  const before = await stored(repo)
  const refused = (error: unknown) =>
    error instanceof P2PError && error.code === 'verification' && error.message.includes(String(root))
  await assert.rejects(collectGarbage(repo, { dryRun: true }), refused)
  await assert.rejects(collectGarbage(repo), refused)
  // The damaged block itself was set aside when it was read.
  assert.deepEqual(
    await stored(repo),
    before.filter((key) => key !== blockKey(root!)),
  )

  await repo.pins.remove(root!)
  const { blocks, corruptBytes } = await collectGarbage(repo)
  assert.equal(blocks, 4)
  assert.ok(corruptBytes > 0)
  assert.deepEqual(await stored(repo), [])
  assert.equal((await readdir(join(repo.folder, 'blocks'))).includes('corrupt'), false)
})

test('a lost index costs nothing: the walk restores it', async (t) => {
  const repo = await makeKeptRepo(t)
  const [root] = await repo.add([file('pinned')])
  const blocks = await dagOf(repo, root!)
  const { holder } = (await repo.pins.get(root!))!
  await repo.pins.index.remove(blocks.map((cid) => ({ key: blockKey(cid), holder })))
  assert.equal((await collectGarbage(repo)).blocks, 0)
  assert.deepEqual(await repo.check(), [])
})

test('an operation under way holds what it has stored, and what it relies on', async (t) => {
  const repo = await makeKeptRepo(t)
  const { cid, bytes } = randomBlock('under way', 100)
  const present = randomBlock('present', 100)
  await repo.blocks.put(present.cid, present.bytes)
  await repo.pins.holding(async (hold) => {
    await hold.over(repo.blocks).put(cid, bytes)
    await hold.add([present.cid])
    assert.equal((await collectGarbage(repo)).blocks, 0)
  })
  assert.equal((await collectGarbage(repo)).blocks, 2)
})

test('a file that is served from where it stands is let go of with its pin, and stays as it is', async (t) => {
  const repo = await makeKeptRepo(t)
  const folder = await folderWith(t, 'film', randomBytes('film', 2 * MiB))
  const [root] = await repo.add([{ path: join(folder, 'film') }], { copy: false })
  // Pinned too, and all that it has lies in the other's file.
  const [outer] = await repo.add([{ path: folder }], { copy: false })
  const [, leaf] = await dagOf(repo, root!)
  await repo.pins.remove(root!)
  assert.deepEqual(await collectGarbage(repo), { blocks: 0, bytes: 0, references: 0, corruptBytes: 0 })
  assert.equal(await repo.store.has(leaf!), true)

  await repo.pins.remove(outer!)
  assert.deepEqual((await collectGarbage(repo, { dryRun: true })).references, 2)
  assert.equal((await collectGarbage(repo)).references, 2)
  assert.equal(await repo.store.has(leaf!), false)
  const trees = []
  for await (const tree of repo.references.trees()) trees.push(tree)
  assert.deepEqual(trees, [])
  assert.equal((await stat(join(folder, 'film'))).size, 2 * MiB)
})
