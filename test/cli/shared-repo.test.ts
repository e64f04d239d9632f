/** Several commands on one repo at once, as a user starts them: the built binary in real processes. */

import assert from 'node:assert/strict'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import {
  addPath,
  addPaths,
  lastEvent,
  type P2pProcess,
  resultOfGet,
  runP2p,
  type Serve,
  startP2p,
  startServe,
} from '../support/processes.ts'
import { startProxy, type TcpProxy } from '../support/proxy.ts'
import { makeTempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'

const SLOW_BYTES_PER_SECOND = MiB / 2

interface Source {
  cid: string
  path: string
  digest: string
  size: number
  /** Between its only seeder and whoever fetches it. */
  proxy: TcpProxy
  /** Where to fetch it. */
  peer: string
}

interface Site {
  folder: string
  /** The repo that the commands share. */
  repo: string
  seeder: Serve
  sources: Source[]
}

/** A repo to fetch into, and a seeder of so many files, each behind a slow link of its own, so that nothing ends early. */
async function makeSite(t: TestContext, sizes: number[]): Promise<Site> {
  const folder = await makeTempDir(t)
  const seederRepo = join(folder, 'seeder')
  const files: Omit<Source, 'proxy' | 'peer'>[] = []
  for (const [index, size] of sizes.entries()) {
    const path = join(folder, `source-${index}`)
    const digest = await writeRandomFile(path, `shared ${index}`, size)
    files.push({ cid: await addPath(seederRepo, path), path, digest, size })
  }
  const seeder = await startServe(t, seederRepo)
  const targetPort = Number(/\/tcp\/(\d+)/.exec(seeder.multiaddr)?.[1])
  const sources: Source[] = []
  for (const file of files) {
    const proxy = await startProxy(t, { targetPort, bytesPerSecond: SLOW_BYTES_PER_SECOND })
    sources.push({ ...file, proxy, peer: `${proxy.multiaddr}/p2p/${seeder.peerId}` })
  }
  return { folder, repo: join(folder, 'repo'), seeder, sources }
}

/** From now on everything comes as fast as it can. */
function openLinks({ sources }: Site): void {
  for (const { proxy } of sources) proxy.bytesPerSecond = Number.POSITIVE_INFINITY
}

async function hasBytes(get: P2pProcess): Promise<void> {
  await get.waitForEvent('progress', ({ bytes }) => Number(bytes) > 0)
}

test('two get in two terminals, without a server', async (t) => {
  const site = await makeSite(t, [12 * MiB, 24 * MiB])
  const { folder, repo, sources } = site
  const gets = sources.map(({ cid, peer }, index) =>
    startP2p(t, ['get', cid, '-o', join(folder, `out-${index}`), '--peer', peer, '--json'], { repo }),
  )
  await Promise.all(gets.map(hasBytes))
  openLinks(site)
  const results = await Promise.all(gets.map(async (get) => resultOfGet(await get.finished)))
  for (const [index, { cid, digest, size }] of sources.entries()) {
    assert.equal(await sha256OfFile(join(folder, `out-${index}`)), digest)
    assert.deepEqual([results[index]?.cid, results[index]?.stats.bytes], [cid, size])
  }
})

test('a server is killed under three clients, and all of them finish', async (t) => {
  const site = await makeSite(t, [16 * MiB, 16 * MiB])
  const { folder, repo } = site
  const [toFile, toStdout] = site.sources
  const large = join(folder, 'large')
  await writeRandomFile(large, 'large', 128 * MiB)
  const [expectedCid] = await addPaths(join(folder, 'other'), large)

  const holder = await startServe(t, repo)
  const output = join(folder, 'output')
  const get = startP2p(t, ['get', toFile!.cid, '-o', output, '--peer', toFile!.peer, '--json'], { repo })
  const stream = startP2p(t, ['get', toStdout!.cid, '-o', '-', '--peer', toStdout!.peer], { repo })
  await hasBytes(get)
  await until(t, () => stream.stdoutBytes > 0)
  const add = startP2p(t, ['add', large, '--json'], { repo })
  await add.waitForEvent('add-progress', ({ bytes }) => Number(bytes) > 0)
  holder.process.kill('SIGKILL')
  openLinks(site)

  const [got, streamed, added] = await Promise.all([get.finished, stream.finished, add.finished])
  resultOfGet(got)
  assert.equal(await sha256OfFile(output), toFile!.digest)
  assert.equal(streamed.code, 0, streamed.stderr)
  assert.ok(streamed.stdout.equals(await readFile(toStdout!.path)))
  assert.equal(added.code, 0, added.stderr)
  const { roots, reachable } = lastEvent(added.stdout) as unknown as { roots: { cid: string }[]; reachable: boolean }
  assert.deepEqual({ cid: roots[0]?.cid, reachable }, { cid: expectedCid, reachable: false })
})

test('a holder that is interrupted leaves the others running', async (t) => {
  const site = await makeSite(t, [16 * MiB, 16 * MiB])
  const { folder, repo, sources } = site
  const start = ({ cid, peer }: Source, name: string) =>
    startP2p(t, ['get', cid, '-o', join(folder, name), '--peer', peer, '--json'], { repo })
  const holder = start(sources[0]!, 'first')
  await hasBytes(holder)
  const other = start(sources[1]!, 'second')
  await hasBytes(other)
  holder.kill('SIGINT')
  assert.equal((await holder.finished).code, 130)
  openLinks(site)
  resultOfGet(await other.finished)
  assert.equal(await sha256OfFile(join(folder, 'second')), sources[1]!.digest)
  resultOfGet(await start(sources[0]!, 'first').finished)
  assert.equal(await sha256OfFile(join(folder, 'first')), sources[0]!.digest)
})

test('Ctrl-C ends the download of that command alone, and the same command goes on', async (t) => {
  const site = await makeSite(t, [16 * MiB, 16 * MiB])
  const { folder, repo, sources } = site
  const holder = await startServe(t, repo)
  const start = ({ cid, peer }: Source, name: string) =>
    startP2p(t, ['get', cid, '-o', join(folder, name), '--peer', peer, '--json'], { repo })
  const [ended, other] = [start(sources[0]!, 'first'), start(sources[1]!, 'second')]
  await ended.waitForEvent('progress', ({ bytes }) => Number(bytes) >= 3 * MiB)
  await hasBytes(other)
  ended.kill('SIGINT')
  const interrupted = await ended.finished
  assert.equal(interrupted.code, 130)
  assert.equal(lastEvent(interrupted.stdout).exitCode, 130)
  openLinks(site)
  resultOfGet(await other.finished)

  // In the holder it has ended too: for all the time that the other one took, nothing more came of it.
  const cameBefore = sources.reduce((sum, { proxy }) => sum + proxy.bytesFromTarget, 0)
  assert.ok(cameBefore < 30 * MiB, `${cameBefore} bytes had come`)
  const { stats } = resultOfGet(await start(sources[0]!, 'first').finished)
  assert.ok(stats.receivedBytes <= 13.5 * MiB, `${stats.receivedBytes} bytes came again`)
  assert.equal(await sha256OfFile(join(folder, 'first')), sources[0]!.digest)
  await holder.stop()
})

test('20 commands at once, none of which is a server', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const names = Array.from({ length: 20 }, (_, index) => `file-${index}`)
  for (const name of names) await writeFile(join(folder, name), name)
  const expected = await addPaths(join(folder, 'other'), ...names.map((name) => join(folder, name)))
  const adds = await Promise.all(names.map((name) => runP2p(['add', join(folder, name)], { repo })))
  for (const [index, { code, stdout, stderr }] of adds.entries()) {
    assert.deepEqual({ code, stdout: stdout.toString() }, { code: 0, stdout: `${expected[index]}\n` }, stderr)
  }
})

test('a repo with a path of 150 characters', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'r'.repeat(149 - folder.length))
  assert.equal(repo.length, 150)
  const env = { XDG_RUNTIME_DIR: join(folder, 'run') }
  await mkdir(env.XDG_RUNTIME_DIR, { mode: 0o700 })
  const holder = await startServe(t, repo, [], { env })
  await writeFile(join(folder, 'hello'), 'hello world')
  // From a session that has no such folder.
  for (const options of [{ repo, env }, { repo }]) {
    const { code, stderr } = await runP2p(['add', join(folder, 'hello'), '--timeout', '5s'], options)
    assert.equal(code, 0, stderr)
    assert.match(stderr, /Others can fetch it/)
  }
  await holder.stop()
})

test('a socket that a killed holder has left is replaced', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  await writeFile(join(folder, 'hello'), 'hello world')
  const killed = await startServe(t, repo)
  killed.process.kill('SIGKILL')
  await killed.process.finished
  assert.ok((await stat(join(repo, 'api.sock'))).isSocket())
  await addPath(repo, join(folder, 'hello'))
  const holder = await startServe(t, repo)
  assert.equal((await stat(join(repo, 'api.sock'))).mode & 0o777, 0o600)
  await addPath(repo, join(folder, 'hello'))
  await holder.stop()
})

test('what is added through a server is announced by it, and add says so', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  await writeFile(join(folder, 'hello'), 'hello world')
  const holder = await startServe(t, repo)
  const { code, stdout, stderr } = await runP2p(['add', join(folder, 'hello')], { repo })
  assert.equal(code, 0, stderr)
  assert.match(stderr, /Others can fetch it/)
  await holder.process.waitForEvent('announced', ({ cid }) => cid === stdout.toString().trim())
  await holder.stop()
})

test('flags for the network of a command whose holder does otherwise are said to have no effect', async (t) => {
  const site = await makeSite(t, [MiB])
  await addPath(site.repo, site.sources[0]!.path)
  const peer = site.seeder.multiaddr
  const holder = await startServe(t, site.repo)
  const flags = ['--bootstrap', peer, '--limit-up', '1MiB', '--limit-down', '2MiB', '--limit-lan', '--no-seed']
  const get = ['get', site.sources[0]!.cid, '-o', '-']
  const { code, stderr } = await runP2p([...get, ...flags], { repo: site.repo })
  assert.equal(code, 0, stderr)
  assert.match(stderr, /^warning: .*bootstrap peers \(none\); those given here have no effect/m)
  for (const flag of ['--limit-up', '--limit-down', '--limit-lan', '--no-seed']) {
    assert.match(stderr, new RegExp(`^warning: .*; ${flag} has no effect`, 'm'))
  }
  assert.doesNotMatch((await runP2p(get, { repo: site.repo })).stderr, /warning/)
  await holder.stop()
})

test('a second serve says who holds the repo, and that it waits for 30 seconds', async (t) => {
  const repo = join(await makeTempDir(t), 'repo')
  const holder = await startServe(t, repo)
  const second = startP2p(t, ['serve', '--listen', '/ip4/127.0.0.1/tcp/0', '--json'], { repo })
  const { message } = await second.waitForEvent('note', (event) => /waiting up to/.test(String(event.message)))
  assert.match(String(message), new RegExp(`p2p serve.*\\b${holder.process.pid}\\b.*waiting up to 30(\\.0)? s`))
  second.kill('SIGTERM')
  await second.finished
})
