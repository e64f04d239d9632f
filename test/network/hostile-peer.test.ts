/** A peer that sends wrong bytes is never believed: its blocks reach neither the store nor the output. */

import assert from 'node:assert/strict'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import { startHostilePeer } from '../support/hostile-peer.ts'
import { addPath, getJson, lastEvent, startP2p, startServe } from '../support/processes.ts'
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
  const args = ['get', cid, '-o', output, '--peer', hostile.multiaddr, '--timeout', '5s', '--json']
  const get = startP2p(t, args, { repo: join(folder, 'receiver') })
  const { code, stdout, stderr } = await get.finished
  assert.ok(hostile.wrongBlocks > 0, 'the hostile peer was asked for blocks')
  const warnings = get.events.filter(({ type }) => type === 'warning').map(({ message }) => String(message))
  assert.ok(
    warnings.some((message) => message.includes(hostile.peerId)),
    'the user is told which peer sent wrong bytes',
  )
  const failure = lastEvent(stdout)
  assert.deepEqual([failure.type, failure.code, failure.exitCode, code], ['error', 'verification', 8, 8], stderr)
  await assert.rejects(access(output), { code: 'ENOENT' })
})
