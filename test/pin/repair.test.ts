import assert from 'node:assert/strict'
import { rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { MiB } from '../../src/common/units.ts'
import { rawCid } from '../../src/dag/cid.ts'
import { linksOf } from '../../src/dag/links.ts'
import { checkRepo } from '../../src/pin/check.ts'
import { repair } from '../../src/pin/repair.ts'
import { randomBytes } from '../support/bytes.ts'
import { makeTempDir } from '../support/temp.ts'
import { describe, type KeptRepo, makeKeptRepo } from './kept-repo.ts'

/** A pinned file that stays where it is, and the names of its leaves. */
async function addInPlace(t: TestContext, { wrap = false } = {}) {
  const repo = await makeKeptRepo(t)
  const path = join(await makeTempDir(t), 'film')
  const content = randomBytes('in place', 2 * MiB)
  await writeFile(path, content)
  const [root] = await repo.add([{ path }], { copy: false, wrap })
  const [file = root!] = wrap ? linksOf(root!, (await repo.blocks.get(root!))!) : []
  const leaves = linksOf(file, (await repo.blocks.get(file))!)
  return { repo, path, leaves, content }
}

/** Repairs what is wrong. @returns each problem, and whether it was mended */
async function repaired(repo: KeptRepo, give: (cid: CID) => Uint8Array | undefined): Promise<[string, boolean][]> {
  const results: [string, boolean][] = []
  const fetch = async (cid: CID) => give(cid)
  await checkRepo(repo, {
    onProblem: async (problem) => {
      const isMended = await repair({ ...repo, removeFile: rm, fetch }, problem)
      results.push([describe(problem), isMended])
      return isMended
    },
  })
  return results.sort()
}

for (const wrap of [false, true]) {
  test(`a file that has gone is let go once others have given what a pin needs of it, wrapped: ${wrap}`, async (t) => {
    const { repo, path, leaves, content } = await addInPlace(t, { wrap })
    await rename(path, `${path}.away`)
    const problems = leaves.flatMap((cid) => [`dangling-reference ${cid}`, `missing-block ${cid}`]).sort()
    assert.deepEqual(
      await repaired(repo, () => undefined),
      problems.map((problem) => [problem, false]),
    )
    // As after the disk was mounted again.
    await rename(`${path}.away`, path)
    assert.deepEqual(await repo.check(), [])

    await rm(path)
    assert.deepEqual(
      await repaired(repo, (cid) => content.subarray(leaves[0]!.equals(cid) ? 0 : MiB).subarray(0, MiB)),
      problems.map((problem) => [problem, true]),
    )
    assert.deepEqual(await repo.check(), [])
  })
}

test('a file that cannot be read just now is told as that, and not let go', async (t) => {
  const { repo, path, leaves } = await addInPlace(t)
  await rename(path, `${path}.away`)
  await symlink(path, path)
  const unreadable = leaves.map((cid) => [`unreadable-reference ${cid}`, false]).sort()
  assert.deepEqual(await repaired(repo, () => assert.fail('it may be there')), unreadable)
  await rm(path)
  await rename(`${path}.away`, path)
  assert.deepEqual(await repo.check(), [])
})

test('what nobody needs of a file that has gone is let go', async (t) => {
  const { repo, path, leaves } = await addInPlace(t)
  for await (const { cid } of repo.pins.list()) await repo.pins.remove(cid)
  await rm(path)
  assert.deepEqual(
    await repaired(repo, () => undefined),
    leaves.map((cid) => [`dangling-reference ${cid}`, true]).sort(),
  )
  assert.deepEqual(await repo.check(), [])
})

test('what a pin needs is not given up while what leads to it is missing', async (t) => {
  const repo = await makeKeptRepo(t)
  const path = join(await makeTempDir(t), 'film')
  const content = randomBytes('stored', 2 * MiB)
  await writeFile(path, content)
  const [root] = await repo.add([{ path }])
  const rootBlock = (await repo.blocks.get(root!))!
  const leaves = linksOf(root!, rootBlock)
  await repo.blocks.delete(root!)
  await repo.damage(leaves[0]!)
  const nobody = [
    [`corrupt-block ${leaves[0]}`, false],
    [`missing-block ${rawCid(root!.multihash)}`, false],
  ]
  assert.deepEqual(await repaired(repo, () => undefined), nobody)
  assert.deepEqual(await repaired(repo, () => undefined), nobody)
  const everything = (cid: CID) => (cid.equals(root) ? rootBlock : content.subarray(0, MiB))
  const mended = [leaves[0], rawCid(root!.multihash)].map((cid) => [`missing-block ${cid}`, true]).sort()
  assert.deepEqual(await repaired(repo, everything), mended)
  assert.deepEqual(await repo.check(), [])
})
