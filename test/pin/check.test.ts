import assert from 'node:assert/strict'
import { appendFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { blockKey, rawCid } from '../../src/dag/cid.ts'
import { linksOf } from '../../src/dag/links.ts'
import { checkRepo } from '../../src/pin/check.ts'
import { randomBlock } from '../support/blocks.ts'
import { randomBytes } from '../support/bytes.ts'
import { makeTempDir } from '../support/temp.ts'
import { type KeptRepo, makeKeptRepo, streamOf } from './kept-repo.ts'

async function addFile(repo: KeptRepo) {
  const [root] = await repo.add([streamOf('file', randomBytes('content', 3 * MiB))])
  const leaves = linksOf(root!, (await repo.blocks.get(root!))!)
  assert.equal(leaves.length, 3)
  return { root: root!, leaves }
}

async function makeFile(t: TestContext, content: Uint8Array): Promise<string> {
  const path = join(await makeTempDir(t), 'file')
  await writeFile(path, content)
  return path
}

test('finds nothing wrong with what was added, and counts it', async (t) => {
  const repo = await makeKeptRepo(t)
  await addFile(repo)
  await repo.add([{ path: await makeFile(t, randomBytes('in place', 2 * MiB)) }], { copy: false })
  const counts = await checkRepo(repo)
  assert.ok(counts.bytes > 3 * MiB)
  assert.deepEqual({ ...counts, bytes: 0 }, { blocks: 5, bytes: 0, references: 2, pins: 2, problems: 0, mended: 0 })
})

test('finds a flipped bit in a leaf and in a node, and what nobody needs, and touches nothing', async (t) => {
  const repo = await makeKeptRepo(t)
  const { root, leaves } = await addFile(repo)
  const loose = randomBlock('loose', 100)
  await repo.blocks.put(loose.cid, loose.bytes)
  await repo.damage(leaves[1]!, loose.cid)
  const found = [`corrupt-block ${loose.cid}`, `missing-block ${leaves[1]}`]
  assert.deepEqual(await repo.check(), found)
  assert.deepEqual(await repo.check(), found)

  await repo.damage(root)
  assert.deepEqual(
    await repo.check(),
    // What is below a node that cannot be read is not known to be needed.
    [...[loose.cid, leaves[1]!].map((cid) => `corrupt-block ${cid}`), `missing-block ${rawCid(root.multihash)}`].sort(),
  )
})

test('finds blocks that have gone, those that the index has lost, and what was left over', async (t) => {
  const repo = await makeKeptRepo(t)
  const { root, leaves } = await addFile(repo)
  await repo.blocks.delete(leaves[0]!)
  const { holder } = (await repo.pins.get(root))!
  await repo.pins.index.remove([{ key: blockKey(leaves[2]!), holder }])
  const leftover = join(repo.folder, 'blocks', 'tmp', 'x')
  await writeFile(leftover, 'half')
  await mkdir(join(repo.folder, 'blocks', 'AA'), { recursive: true })
  await writeFile(join(repo.folder, 'blocks', 'AA', 'notes.txt'), 'of somebody else')
  assert.deepEqual(
    await repo.check(),
    [`leftover ${leftover}`, `missing-block ${leaves[0]}`, `unindexed-block ${leaves[2]}`].sort(),
  )
})

test('finds what a changed file does not hold any more', async (t) => {
  const repo = await makeKeptRepo(t)
  const path = await makeFile(t, randomBytes('in place', 2 * MiB))
  const [root] = await repo.add([{ path }], { copy: false })
  const leaves = linksOf(root!, (await repo.blocks.get(root!))!)
  await appendFile(path, 'more')
  assert.deepEqual(
    await repo.check(),
    leaves.flatMap((cid) => [`dangling-reference ${cid}`, `missing-block ${cid}`]).sort(),
  )
})

test('looks again at what is mended, and below it', async (t) => {
  const repo = await makeKeptRepo(t)
  const { root, leaves } = await addFile(repo)
  const node = (await repo.blocks.get(root))!
  for (const cid of [root, leaves[1]!]) await repo.blocks.delete(cid)
  const reported: string[] = []
  const { problems, mended } = await checkRepo(repo, {
    onProblem: async (problem) => {
      assert.ok(problem.kind === 'missing-block')
      reported.push(problem.cid.toString())
      if (!problem.cid.equals(root)) return false
      await repo.blocks.put(root, node)
      return true
    },
  })
  assert.deepEqual(reported, [root.toString(), leaves[1]!.toString()])
  assert.deepEqual([problems, mended], [2, 1])
})
