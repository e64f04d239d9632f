/** Repos that an earlier `p2p` has made. */

import assert from 'node:assert/strict'
import { cp, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { runP2p } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'

const PINNED = 'bafybeiacsdzk57o5n5b5f6gcfrfo5vp727dulal3kth27fy7mwajlqhaxe'
const LOOSE = 'bafkreibma72zkfm4kkhpyefgobogig4ayrjjuimr3pqenvuwl7uoqxizq4'

test('small blocks of a repo of version 2 are read, collected, and found damaged or whole', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  await cp('fixtures/repo-v2', repo, { recursive: true })
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await runP2p([...args, '--offline'], { repo })
    assert.equal(code, 0, stderr)
    return stdout.toString()
  }
  const blockFiles = async () =>
    (await readdir(join(repo, 'blocks'), { recursive: true })).filter((name) => name.endsWith('.data'))
  assert.equal(await run('cat', `${PINNED}/inner/b.txt`), 'b, a small file too\n')
  assert.equal(await run('cat', LOOSE), 'of no pin\n')
  assert.match(await run('repo'), /version +3\n/)

  await writeFile(join(folder, 'new'), 'new')
  await run('add', join(folder, 'new'))
  assert.equal((await blockFiles()).length, 5)
  assert.match(await run('gc'), /in 1 block\./)
  assert.equal((await blockFiles()).length, 4)
  await run('pin', 'rm', PINNED)
  assert.match(await run('gc'), /in 4 blocks/)
  assert.deepEqual(await blockFiles(), [])
  assert.equal(await run('verify'), '')
})
