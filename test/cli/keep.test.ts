/** What is kept, as a user sees it. */

import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { sharding } from '../../src/blockstore/sharding.ts'
import { MiB } from '../../src/common/units.ts'
import { parseCid } from '../../src/dag/cid.ts'
import { damaged } from '../support/blocks.ts'
import { writeRandomFile } from '../support/bytes.ts'
import { canRun } from '../support/child-module.ts'
import { addPath, runP2p } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'

const noStrace = canRun('strace', '-f', '-e', 'trace=none', 'true') ? false : 'needs strace'

test('verify prints the CIDs of what is wrong, each alone on a line, and ends with 8; gc then removes nothing', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  await writeRandomFile(join(folder, 'film'), 'film', 3 * MiB)
  const cid = await addPath(repo, join(folder, 'film'))
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await runP2p(args, { repo })
    return { code, stderr, lines: stdout.toString().split('\n').slice(0, -1) }
  }
  const clean = await run('verify')
  assert.deepEqual([clean.code, clean.lines], [0, []])

  const { dir, file } = sharding.encode(parseCid(cid))
  const path = join(repo, 'blocks', dir, file)
  await writeFile(path, damaged(await readFile(path)))
  const bad = await run('verify')
  assert.deepEqual([bad.code, bad.lines], [8, [cid]])
  assert.match(bad.stderr, /verify --repair/)
  const unmended = await run('verify', '--repair', '--offline')
  assert.deepEqual([unmended.code, unmended.lines], [8, [cid]])
  const refused = await run('gc')
  assert.deepEqual([refused.code, refused.lines], [8, []])
  assert.match(refused.stderr, /nothing was removed/)

  const { lines } = await run('pin', 'ls')
  assert.match(lines.join(), new RegExp(`^${cid}  recursive +3.0 MiB +\\d.* s  film$`))
  assert.deepEqual((await run('pin', 'rm', cid)).lines, [cid])
  assert.match((await run('gc')).lines.join(), /^Freed 3\.0 MiB \(\d+ bytes\) in 3 blocks\.$/)
  assert.deepEqual((await run('verify')).code, 0)
})

test('every file of a pinned download is synced before that is said, small ones too', { skip: noStrace }, async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const tree = join(folder, 'tree')
  await mkdir(tree)
  for (const name of ['a', 'b', 'c']) await writeFile(join(tree, name), name)
  const cid = await addPath(repo, tree)
  const trace = join(folder, 'trace')
  const wrapper = ['strace', '-D', '-f', '-qq', '-y', '-e', 'trace=fsync,fdatasync', '-o', trace]
  const { code } = await runP2p(['--offline', 'get', cid, '--pin', '-o', join(folder, 'result')], { repo, wrapper })
  assert.equal(code, 0)
  const synced = [...(await readFile(trace, 'utf8')).matchAll(/f(?:data)?sync\(\d+<.*\.p2p\/(\w)>/g)].map(
    ([, name]) => name,
  )
  assert.deepEqual(synced.sort(), ['a', 'b', 'c'])
})
