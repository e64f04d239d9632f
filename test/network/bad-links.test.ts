/** Seeders behind links that stall or are far away. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import test from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { MiB } from '../../src/common/units.ts'
import { sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import { type CleanUpScope, cleanUpAfter } from '../support/clean-up.ts'
import { addPath, getJson, resultOfGet, startP2p, startServe } from '../support/processes.ts'
import { type ProxyOptions, startProxy, type TcpProxy } from '../support/proxy.ts'
import { makeTempDir } from '../support/temp.ts'

interface Link {
  proxy: TcpProxy
  cid: string
  peerId: string
  /** Where the seeder is reached through the proxy. */
  multiaddr: string
}

async function startSeederBehind(scope: CleanUpScope, repo: string, file: string, link: ProxyOptions): Promise<Link> {
  const cid = await addPath(repo, file)
  const { peerId, multiaddr } = await startServe(scope, repo)
  const proxy = await startProxy(scope, { ...link, targetPort: Number(multiaddr.split('/')[4]) })
  return { proxy, cid, peerId, multiaddr: `${proxy.multiaddr}/p2p/${peerId}` }
}

test('what a seeder that falls silent was asked for is fetched from another', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  const digest = await writeRandomFile(file, 'stall', 24 * MiB)
  const slow = { bytesPerSecond: 6 * MiB }
  const silent = await startSeederBehind(t, join(folder, 'silent'), file, slow)
  const steady = await startSeederBehind(t, join(folder, 'steady'), file, slow)
  const output = join(folder, 'output')
  const peers = ['--peer', silent.multiaddr, '--peer', steady.multiaddr]
  const get = startP2p(t, ['get', silent.cid, '-o', output, ...peers, '--json'], { repo: join(folder, 'receiver') })
  await get.waitForEvent('progress', ({ bytes }) => Number(bytes) >= 8 * MiB)
  silent.proxy.stall()
  const { stats } = resultOfGet(await get.finished)
  assert.equal(await sha256OfFile(output), digest)
  const given = stats.peers.find(({ peerId }) => peerId === silent.peerId)
  assert.ok(given !== undefined && given.bytes > 0, 'it gave blocks before it fell silent')
})

test('a seeder 100 ms away', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  const digest = await writeRandomFile(file, 'far away', 8 * MiB)
  const far = await startSeederBehind(t, join(folder, 'far'), file, { delayMs: 50 })
  const output = join(folder, 'output')
  const { stats } = await getJson([far.cid, '-o', output, '--peer', far.multiaddr], { repo: join(folder, 'receiver') })
  assert.equal(await sha256OfFile(output), digest)
  assert.equal(stats.duplicateBytes, 0)
})

test('a dozen sources that do not answer leave nothing on stderr', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  await writeRandomFile(file, 'among the silent', 4 * MiB)
  const seeder = await startSeederBehind(t, join(folder, 'seeder'), file, { bytesPerSecond: 2 * MiB })
  const silent = createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  cleanUpAfter(t, () => {
    silent.close()
  })
  const { port } = silent.address() as AddressInfo
  const ids = await Promise.all(
    Array.from({ length: 12 }, async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'))),
  )
  const peers = [seeder.multiaddr, ...ids.map((id) => `/ip4/127.0.0.1/tcp/${port}/p2p/${id}`)]
  const args = ['get', seeder.cid, '-o', join(folder, 'output'), ...peers.flatMap((peer) => ['--peer', peer]), '--json']
  const finished = await startP2p(t, args, { repo: join(folder, 'receiver') }).finished
  resultOfGet(finished)
  assert.equal(finished.stderr, '')
})
