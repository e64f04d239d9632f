/** A download that nothing has warned of its end, taken up again where nothing is as it was but the repo and the target. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import { addPath, resultOfGet, runP2p, startP2p, startServe } from '../support/processes.ts'
import { startProxy } from '../support/proxy.ts'
import { makeTempDir } from '../support/temp.ts'

const SIZE = 24 * MiB

test('a download that was killed goes on from its seeder at another address, and fetches only what is missing', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  const digest = await writeRandomFile(file, 'killed', SIZE)
  const seeder = join(folder, 'seeder')
  const cid = await addPath(seeder, file)
  const before = await startServe(t, seeder)
  const targetPort = Number(before.multiaddr.split('/')[4])
  const proxy = await startProxy(t, { targetPort, bytesPerSecond: 8 * MiB })
  const output = join(folder, 'output')
  const repo = join(folder, 'receiver')
  const getFrom = (peer: string) => ['get', cid, '-o', output, '--peer', peer, '--json']

  const killed = startP2p(t, getFrom(`${proxy.multiaddr}/p2p/${before.peerId}`), { repo })
  await killed.waitForEvent('progress', ({ bytes }) => Number(bytes) >= SIZE / 3)
  killed.kill('SIGKILL')
  assert.equal((await killed.finished).signal, 'SIGKILL')
  const inPlace = Number(killed.events.findLast(({ type }) => type === 'progress')?.bytes)
  await before.stop()

  const after = await startServe(t, seeder)
  assert.equal(after.peerId, before.peerId)
  assert.notEqual(after.multiaddr, before.multiaddr)
  const { stats } = resultOfGet(await runP2p(getFrom(after.multiaddr), { repo }))
  assert.equal(await sha256OfFile(output), digest)
  const missing = SIZE - inPlace
  assert.ok(stats.receivedBytes <= 1.02 * missing, `${stats.receivedBytes} received, ${missing} were missing`)
})

test('a download that goes on counts what is there before anything new has come', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  const size = 160 * MiB
  await writeRandomFile(file, 'counted', size)
  const seeder = join(folder, 'seeder')
  const cid = await addPath(seeder, file)
  const { multiaddr, peerId } = await startServe(t, seeder)
  const proxy = await startProxy(t, { targetPort: Number(multiaddr.split('/')[4]) })
  const get = ['get', cid, '-o', join(folder, 'output'), '--peer', `${proxy.multiaddr}/p2p/${peerId}`, '--json']
  const repo = join(folder, 'receiver')

  const killed = startP2p(t, [...get, '--limit-down', '32MiB', '--limit-lan'], { repo })
  await killed.waitForEvent('progress', ({ bytes }) => Number(bytes) >= size / 5)
  killed.kill('SIGKILL')
  await killed.finished
  const inPlace = Number(killed.events.findLast(({ type }) => type === 'progress')?.bytes)

  proxy.stall()
  const resumed = startP2p(t, get, { repo })
  await resumed.waitForEvent('progress', ({ bytes }) => Number(bytes) >= inPlace)
})
