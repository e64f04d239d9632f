/** `add` of files that stay where they stand, more than once. */

import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { MiB } from '../../../src/common/units.ts'
import { makeKeptRepo } from '../../pin/kept-repo.ts'
import { randomBytes } from '../../support/bytes.ts'

test('other settings for the same path leave what was added before', async (t) => {
  const repo = await makeKeptRepo(t)
  const folder = join(repo.folder, 'folder')
  await mkdir(folder)
  for (const name of ['one', 'two']) await writeFile(join(folder, name), randomBytes(name, 2 * MiB))
  for (const options of [{}, { profile: 'unixfs-v0-2015' as const }, { ignore: ['two'] }]) {
    await repo.add([{ path: folder }], { ...options, copy: false })
  }
  assert.deepEqual(await repo.check(), [])
})

test('of what stood at a path only that is known which is still there', async (t) => {
  const repo = await makeKeptRepo(t)
  const path = join(repo.folder, 'file')
  const treesAfter = async (content: string) => {
    await writeFile(path, content)
    await repo.add([{ path }], { copy: false })
    let trees = 0
    for await (const _ of repo.references.trees()) trees++
    return trees
  }
  assert.equal(await treesAfter('first'), 1)
  assert.equal(await treesAfter('first'), 1)
  assert.equal(await treesAfter('the second'), 1)
})

test('many small files are served from where they stand, and only as long as they are not changed', async (t) => {
  const repo = await makeKeptRepo(t)
  const folder = join(repo.folder, 'folder')
  await mkdir(folder)
  // More than one chunk each, by the last settings.
  for (let index = 0; index < 300; index++) await writeFile(join(folder, `${index}`), randomBytes(`${index}`, 600))
  await writeFile(join(folder, 'empty'), '')
  for (const options of [{}, { inline: true }, { chunker: 'size-256' }]) {
    await repo.add([{ path: folder }], { ...options, copy: false })
    assert.deepEqual(await repo.check(), [])
  }
  await writeFile(join(folder, '17'), 'changed')
  const problems = await repo.check()
  assert.ok(problems.length > 0)
  for (const problem of problems) assert.match(problem, /^(dangling-reference|missing-block) /)
})
