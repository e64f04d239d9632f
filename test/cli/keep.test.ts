/** What is kept, as a user sees it. */

import assert from 'node:assert/strict'
import { access, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { parseCid } from '../../src/dag/cid.ts'
import { writeRandomFile } from '../support/bytes.ts'
import { canRun } from '../support/child-module.ts'
import { addPath, getJson, runP2p, startServe } from '../support/processes.ts'
import { damageStored } from '../support/stored-blocks.ts'
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

  await damageStored(join(repo, 'blocks'), [parseCid(cid)])
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

test('verify, gc and repo make no repo where there is none', async (t) => {
  const repo = join(await makeTempDir(t), 'repo')
  for (const command of ['verify', 'gc', 'repo']) {
    const { code, stdout, stderr } = await runP2p([command], { repo })
    assert.deepEqual([code, stdout.toString()], [3, ''], stderr)
    assert.match(stderr, /There is no repo at/)
  }
  await assert.rejects(access(repo), { code: 'ENOENT' })
})

test('pin add and verify fetch from the peers that are named, and from nobody with --offline', async (t) => {
  const folder = await makeTempDir(t)
  await writeRandomFile(join(folder, 'film'), 'film', 3 * MiB)
  const cid = await addPath(join(folder, 'seeder'), join(folder, 'film'))
  const seeder = await startServe(t, join(folder, 'seeder'))
  const repo = join(folder, 'repo')
  const codeOf = async (...args: string[]) => (await runP2p([...args, '--peer', seeder.multiaddr], { repo })).code
  assert.equal(await codeOf('pin', 'add', cid, '--offline'), 3)
  assert.equal(await codeOf('pin', 'add', cid), 0)

  await damageStored(join(repo, 'blocks'), [parseCid(cid)])
  assert.equal(await codeOf('verify', '--repair', '--offline'), 8)
  assert.equal(await codeOf('verify', '--repair'), 0)
})

test('a file that was moved counts by its blocks in verify, repaired or not, and putting it back mends it', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const film = join(folder, 'film')
  await writeRandomFile(film, 'film', 3 * MiB)
  await addPath(join(folder, 'seeder'), film)
  await addPath(join(folder, 'other'), join(folder, 'seeder', 'version'))
  await addPath(repo, film, '--nocopy')
  await rename(film, join(folder, 'elsewhere'))
  const verify = async (...args: string[]) => {
    const { code, stdout, stderr } = await runP2p(['verify', ...args], { repo })
    return { code, cids: stdout.toString().split('\n').slice(0, -1).toSorted(), stderr }
  }
  const moved = await verify()
  assert.deepEqual([moved.code, new Set(moved.cids).size, moved.cids.length], [8, 3, 3])
  assert.match(moved.stderr, /error: 3 blocks are damaged or missing\nhint: .*moved back/)

  const other = await startServe(t, join(folder, 'other'))
  const unmended = await verify('--repair', '--peer', other.multiaddr)
  assert.deepEqual([unmended.code, unmended.cids], [8, moved.cids])
  assert.match(unmended.stderr, /error: 3 blocks are damaged or missing\nhint: .*moved back/)
  assert.equal(unmended.stderr.match(/No connected peer has/g)?.length, 1, unmended.stderr)

  await rename(join(folder, 'elsewhere'), film)
  assert.deepEqual((await verify()).code, 0)

  await rename(film, join(folder, 'elsewhere'))
  const seeder = await startServe(t, join(folder, 'seeder'))
  const mended = await verify('--repair', '--peer', seeder.multiaddr)
  assert.deepEqual([mended.code, mended.cids], [0, []], mended.stderr)
  assert.match(mended.stderr, /^Repaired 3\.$/m)
})

test('a file that was moved, and that no pin lacks, is told by verify and is no failure', async (t) => {
  const folder = await makeTempDir(t)
  const [repo, film, got] = ['repo', 'film', 'got'].map((name) => join(folder, name)) as [string, string, string]
  await writeRandomFile(film, 'film', 3 * MiB)
  const cid = await addPath(join(folder, 'seeder'), film)
  const seeder = await startServe(t, join(folder, 'seeder'))
  await getJson([cid, '-o', got, '--peer', seeder.multiaddr], { repo })
  await rename(got, join(folder, 'elsewhere'))
  const verify = async (...args: string[]) => {
    const { code, stdout, stderr } = await runP2p(['verify', '--offline', ...args], { repo })
    return { code, stdout: stdout.toString(), stderr }
  }
  const download = await verify()
  assert.deepEqual([download.code, download.stdout], [0, ''], download.stderr)
  assert.match(download.stderr, new RegExp(`^${got} was changed or moved: 3 blocks of it, which no pin lacks$`, 'm'))

  // From now on the store has them, and the reference is one too many.
  assert.equal((await runP2p(['pin', 'add', cid, '--peer', seeder.multiaddr], { repo })).code, 0)
  const pinned = await verify()
  assert.deepEqual([pinned.code, pinned.stdout], [0, ''], pinned.stderr)
  const forgotten = await verify('--repair')
  assert.deepEqual([forgotten.code, forgotten.stdout], [0, ''], forgotten.stderr)
  assert.doesNotMatch((await verify()).stderr, /was changed or moved/)
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
