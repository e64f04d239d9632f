/** A peer that sends wrong bytes is never believed: its blocks reach neither the store nor the output. */

import assert from 'node:assert/strict'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import { startHostilePeer } from '../support/hostile-peer.ts'
import { addPath, getJson, lastEvent, runP2p, startServe } from '../support/processes.ts'
import { startProxy } from '../support/proxy.ts'
import { makeTempDir } from '../support/temp.ts'

const FILE_BYTES = 16 * MiB
/** Slow enough that the hostile peer is asked for its share. */
const HONEST_BYTES_PER_SECOND = 8 * MiB

test('an honest seeder makes up for a hostile one', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  const seederRepo = join(folder, 'seeder')
  const digest = await writeRandomFile(file, 'hostile', FILE_BYTES)
  const cid = await addPath(seederRepo, file)
  const seeder = await startServe(t, seederRepo)
  const proxy = await startProxy(t, {
    targetPort: Number(seeder.multiaddr.split('/')[4]),
    bytesPerSecond: HONEST_BYTES_PER_SECOND,
  })
  const hostile = await startHostilePeer(t)

  const output = join(folder, 'output')
  const peers = ['--peer', hostile.multiaddr, '--peer', `${proxy.multiaddr}/p2p/${seeder.peerId}`]
  const result = await getJson([cid, '-o', output, ...peers], { repo: join(folder, 'receiver') })
  assert.equal(await sha256OfFile(output), digest)
  assert.ok(hostile.wrongBlocks > 0, 'the hostile peer was asked for blocks')
  assert.equal(result.stats.peers.find(({ peerId }) => peerId === hostile.peerId)?.bytes ?? 0, 0)
})

test('with nobody but a hostile peer the download fails and leaves no file', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  await writeRandomFile(file, 'hostile alone', 2 * MiB)
  const cid = await addPath(join(folder, 'elsewhere'), file)
  const hostile = await startHostilePeer(t)

  const output = join(folder, 'output')
  const { code, stdout, stderr } = await runP2p(
    ['get', cid, '-o', output, '--peer', hostile.multiaddr, '--timeout', '5s', '--json'],
    { repo: join(folder, 'receiver') },
  )
  assert.ok(hostile.wrongBlocks > 0, 'the hostile peer was asked for blocks')
  const failure = lastEvent(stdout)
  assert.equal(failure.type, 'error', stderr)
  assert.equal(failure.exitCode, code)
  assert.notEqual(code, 0)
  assert.notEqual(code, 1, `a failure of this kind has a documented exit code: ${JSON.stringify(failure)}`)
  await assert.rejects(access(output), { code: 'ENOENT' })
})
