/** Errors that need a machine in a certain state: what is said, the exit code, and that nothing is left behind. */

import assert from 'node:assert/strict'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { writeRandomFile } from '../support/bytes.ts'
import { addPath, lastEvent, runP2p, startServe } from '../support/processes.ts'
import { noSmallDisk, SmallDisk } from '../support/small-disk.ts'
import { makeTempDir } from '../support/temp.ts'

test('a disk too small for a get: exit 7 before the first byte', { skip: noSmallDisk }, async (t) => {
  const folder = await makeTempDir(t)
  const { folder: disk } = await SmallDisk.make(t, folder, 16)
  const file = join(folder, 'file')
  await writeRandomFile(file, 'too large', 24 * MiB)
  const cid = await addPath(join(folder, 'seeder'), file)
  const seeder = await startServe(t, join(folder, 'seeder'))
  const args = ['get', cid, '-o', join(disk, 'copy'), '--peer', seeder.multiaddr, '--json']
  const { code, stdout, stderr } = await runP2p(args, { repo: join(folder, 'receiver') })
  const failure = lastEvent(stdout)
  assert.deepEqual([code, failure.code, failure.exitCode], [7, 'disk-full', 7], stderr)
  assert.deepEqual(await readdir(disk), [])
})

test('settings that cannot be understood: exit 2, the file and the setting are named, nothing is changed', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  await mkdir(repo)
  const file = join(folder, 'file')
  await writeFile(file, 'hello')
  for (const [text, expected] of [
    ['{', /config\.json/],
    ['{"adresses":{}}', /"adresses" is not a setting[\s\S]*addresses/],
    ['{"bootstrap":["nowhere"]}', /bootstrap[\s\S]*nowhere/],
  ] as const) {
    await writeFile(join(repo, 'config.json'), text)
    const { code, stderr } = await runP2p(['add', file], { repo })
    assert.equal(code, 2, stderr)
    assert.match(stderr, expected)
    assert.deepEqual(await readdir(repo), ['config.json'])
  }
})

test('a small tree comes from a seeder that is known only as a bootstrap peer', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  await writeRandomFile(file, 'small tree', 5 * MiB)
  const cid = await addPath(join(folder, 'seeder'), file)
  const seeder = await startServe(t, join(folder, 'seeder'))
  const args = ['get', cid, '-o', join(folder, 'copy'), '--bootstrap', seeder.multiaddr, '--timeout', '30s', '--json']
  const { code, stdout, stderr } = await runP2p(args, { repo: join(folder, 'receiver') })
  assert.equal(code, 0, stderr + stdout)
})

test('a peer that lacks the content, and a DHT that names nobody else: exit 3 after a bounded search', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  await writeRandomFile(file, 'elsewhere', MiB)
  const cid = await addPath(join(folder, 'elsewhere'), file)
  const empty = await startServe(t, join(folder, 'empty'))
  const args = ['get', cid, '-o', join(folder, 'copy'), '--peer', empty.multiaddr, '--timeout', '60s', '--json']
  const { code, stdout } = await runP2p(args, { repo: join(folder, 'receiver') })
  const failure = lastEvent(stdout)
  assert.deepEqual([code, failure.code], [3, 'no-provider'])
  assert.match(String(failure.message), /1 connected peer without it/)
})

test('config ls tells what the environment wins over', async (t) => {
  const repo = join(await makeTempDir(t), 'repo')
  const env = { P2P_BOOTSTRAP: 'none', P2P_LIMIT_UP: '1MiB' }
  const { stdout } = await runP2p(['config', 'ls'], { repo, env })
  assert.match(stdout.toString(), /^bootstrap .*\(default; P2P_BOOTSTRAP=none wins over it\)$/m)
  assert.match(stdout.toString(), /^limits\.down +none {2}\(default\)$/m)
  const { overridden } = lastEvent((await runP2p(['config', 'ls', '--json'], { repo, env })).stdout)
  assert.deepEqual(overridden, { bootstrap: 'P2P_BOOTSTRAP', 'limits.up': 'P2P_LIMIT_UP' })
})
