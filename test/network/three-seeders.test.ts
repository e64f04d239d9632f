/**
 * The main job on real processes: three seeders that a receiver finds through the DHT by CID alone. Every seeder is
 * reached only through a proxy that holds it to a rate, so that all three are needed and every byte is counted twice:
 * by the tool, and by the proxies.
 */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { KiB, MiB } from '../../src/common/units.ts'
import { sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import type { CleanUpScope } from '../support/clean-up.ts'
import { addPath, type GetResultEvent, resultOfGet, type Serve, startP2p, startServe } from '../support/processes.ts'
import { findFreePort, startProxy, type TcpProxy } from '../support/proxy.ts'
import { makeTempDir } from '../support/temp.ts'

/** So many leaves that a single one that comes twice, which the end of a download may cost, is about 1 % of them. */
const FILE_BYTES = 96 * MiB
const SEEDER_BYTES_PER_SECOND = 12 * MiB

/** How much more than the file may be read from bitswap streams, framing and duplicates included. */
const MAX_RECEIVED_RATIO = 1.02

/**
 * What a proxy sees beyond the payload of bitswap streams. In proportion: TLS adds 22 bytes to a record of at most 16 KiB,
 * yamux 12 bytes to a frame, which together stay below 1 % for records and frames of 4 KiB and more. Per connection: two
 * handshakes with certificates, identify, pings and DHT messages. At the end: what a seeder had sent of a leaf before the
 * cancel reached it, and the receiver no longer reads.
 */
const MAX_ENCRYPTION_RATIO = 1.01
const MAX_CONNECTION_BYTES = 64 * KiB
const MAX_UNREAD_BYTES = MiB

interface Seeder {
  serve: Serve
  proxy: TcpProxy
}

interface Swarm {
  folder: string
  cid: string
  sha256: string
  bootstrap: string
  seeders: Seeder[]
}

async function startSeeder(scope: CleanUpScope, repo: string, file: string, bootstrap: string): Promise<Seeder> {
  const cid = await addPath(repo, file)
  const port = await findFreePort()
  const proxy = await startProxy(scope, { targetPort: port, bytesPerSecond: SEEDER_BYTES_PER_SECOND })
  const addresses = ['--listen', `/ip4/127.0.0.1/tcp/${port}`, '--announce', proxy.multiaddr]
  const serve = await startServe(scope, repo, [...addresses, '--bootstrap', bootstrap])
  await serve.announced(cid)
  return { serve, proxy }
}

async function startSwarm(scope: CleanUpScope): Promise<Swarm> {
  const folder = await makeTempDir(scope)
  const file = join(folder, 'file')
  const sha256 = await writeRandomFile(file, 'three seeders', FILE_BYTES)
  const { multiaddr: bootstrap } = await startServe(scope, join(folder, 'bootstrap'))
  const seeders: Seeder[] = []
  for (const name of ['seeder-1', 'seeder-2', 'seeder-3']) {
    seeders.push(await startSeeder(scope, join(folder, name), file, bootstrap))
  }
  const cid = await addPath(join(folder, 'cid-only'), file)
  return { folder, cid, sha256, bootstrap, seeders }
}

function bytesOf(result: GetResultEvent, seeder: Seeder): number {
  return result.stats.peers.find(({ peerId }) => peerId === seeder.serve.peerId)?.bytes ?? 0
}

test('three seeders found by CID alone', async (t) => {
  const { folder, cid, sha256, bootstrap, seeders } = await startSwarm(t)
  const startGet = (name: string, output: string) =>
    startP2p(t, ['get', cid, '-o', output, '--bootstrap', bootstrap, '--json'], { repo: join(folder, name) })

  await t.test('all three give blocks, hardly a byte comes twice, and the count is right', async () => {
    const before = seeders.map(({ proxy }) => ({ bytes: proxy.bytesFromTarget, connections: proxy.connections }))
    const output = join(folder, 'parallel')
    const result = resultOfGet(await startGet('receiver-1', output).finished)
    assert.equal(await sha256OfFile(output), sha256)
    for (const seeder of seeders) assert.ok(bytesOf(result, seeder) > 0, JSON.stringify(result.stats))

    const { bytes, receivedBytes, peers } = result.stats
    assert.equal(bytes, FILE_BYTES)
    const given = peers.reduce((sum, peer) => sum + peer.bytes, 0)
    assert.ok(given >= FILE_BYTES, 'the peers together gave the whole file')
    assert.ok(receivedBytes >= FILE_BYTES && receivedBytes <= MAX_RECEIVED_RATIO * FILE_BYTES, `${receivedBytes}`)

    const proxyBytes = seeders.reduce((sum, { proxy }, i) => sum + proxy.bytesFromTarget - (before[i]?.bytes ?? 0), 0)
    const connections = seeders.reduce(
      (sum, { proxy }, i) => sum + proxy.connections - (before[i]?.connections ?? 0),
      0,
    )
    assert.ok(proxyBytes >= receivedBytes, `the proxies passed ${proxyBytes} bytes, the tool counts ${receivedBytes}`)
    const explained = receivedBytes * MAX_ENCRYPTION_RATIO + connections * MAX_CONNECTION_BYTES + MAX_UNREAD_BYTES
    assert.ok(proxyBytes <= explained, `the proxies passed ${proxyBytes} bytes, the tool counts ${receivedBytes}`)
  })

  await t.test('one is killed half-way and the others finish the file', async () => {
    const [victim] = seeders
    assert.ok(victim)
    const output = join(folder, 'one-killed')
    const get = startGet('receiver-2', output)
    await get.waitForEvent('progress', ({ bytes }) => Number(bytes) >= FILE_BYTES / 2)
    victim.serve.process.kill('SIGKILL')
    const result = resultOfGet(await get.finished)
    assert.equal(await sha256OfFile(output), sha256)
    const fromVictim = bytesOf(result, victim)
    assert.ok(fromVictim > 0 && fromVictim < FILE_BYTES / 2, JSON.stringify(result.stats))
  })
})
