/** Receivers that know nobody but one slow seeder, on real processes: they find each other through it, and trade. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import type { CleanUpScope } from '../support/clean-up.ts'
import { addPath, type GetResultEvent, type P2pEvent, resultOfGet, startP2p, startServe } from '../support/processes.ts'
import { findFreePort, startProxy } from '../support/proxy.ts'
import { makeTempDir } from '../support/temp.ts'

const FILE_BYTES = 64 * MiB
/** Until all know each other nobody can be done. */
const FIRST_BYTES_PER_SECOND = MiB
const BYTES_PER_SECOND = 8 * MiB
const RECEIVERS = ['receiver-1', 'receiver-2', 'receiver-3', 'receiver-4']

/** Lets all receivers download at once. */
async function downloadTogether(scope: CleanUpScope, { seed }: { seed: boolean }) {
  const folder = await makeTempDir(scope)
  const file = join(folder, 'file')
  const sha256 = await writeRandomFile(file, 'crowd', FILE_BYTES)
  const cid = await addPath(join(folder, 'seeder'), file)
  const port = await findFreePort()
  const proxy = await startProxy(scope, {
    targetPort: port,
    bytesPerSecond: seed ? FIRST_BYTES_PER_SECOND : 2 * BYTES_PER_SECOND,
  })
  const addresses = ['--listen', `/ip4/127.0.0.1/tcp/${port}`, '--announce', proxy.multiaddr]
  const { peerId: seeder } = await startServe(scope, join(folder, 'seeder'), addresses)
  const from = `${proxy.multiaddr}/p2p/${seeder}`
  const gets = RECEIVERS.map((name) => {
    const args = [
      'get',
      cid,
      '-o',
      join(folder, `${name}.out`),
      '--peer',
      from,
      '--json',
      ...(seed ? [] : ['--no-seed']),
    ]
    return startP2p(scope, args, { repo: join(folder, name) })
  })
  if (seed) {
    await Promise.all(gets.map((get) => get.waitForEvent('progress', (event) => connectedPeers(event) === gets.length)))
    proxy.bytesPerSecond = BYTES_PER_SECOND
  }
  const results: GetResultEvent[] = []
  for (const get of gets) results.push(resultOfGet(await get.finished))
  for (const name of RECEIVERS) assert.equal(await sha256OfFile(join(folder, `${name}.out`)), sha256)
  return { seeder, results, seederBytes: proxy.bytesFromTarget }
}

function connectedPeers({ peers }: P2pEvent): number {
  return (peers as { connected: boolean }[]).filter(({ connected }) => connected).length
}

/** What each peer but the seeder has given, by peer id. */
function givenBy(results: GetResultEvent[], seeder: string): Map<string, number> {
  const given = new Map<string, number>()
  for (const { peerId, bytes } of results.flatMap(({ stats }) => stats.peers)) {
    if (peerId !== seeder && bytes > 0) given.set(peerId, (given.get(peerId) ?? 0) + bytes)
  }
  return given
}

test('receivers that share one slow seeder find each other and trade', async (t) => {
  const { seeder, results, seederBytes } = await downloadTogether(t, { seed: true })
  assert.ok(seederBytes <= 2 * FILE_BYTES, `the seeder sent ${seederBytes / FILE_BYTES} files`)
  const given = givenBy(results, seeder)
  assert.equal(given.size, RECEIVERS.length, `${[...given]}`)
})

test('with --no-seed they give nothing', async (t) => {
  const { seeder, results } = await downloadTogether(t, { seed: false })
  assert.deepEqual([...givenBy(results, seeder)], [])
})
