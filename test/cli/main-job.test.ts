/**
 * add, serve and get as scripts use them: the built binary in real processes, what it writes to stdout and to disk, and
 * its exit codes. Several seeders at once are in `test/network/`.
 */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { promisify } from 'node:util'
import { KiB, MiB, SECOND_MS } from '../../src/common/units.ts'
import {
  describeTree,
  randomBytes,
  randomChunks,
  sha256OfFile,
  writeChunks,
  writeRandomFile,
} from '../support/bytes.ts'
import type { CleanUpScope } from '../support/clean-up.ts'
import {
  addPath,
  addPaths,
  getJson,
  lastEvent,
  resultOfGet,
  runP2p,
  type Serve,
  startP2p,
  startServe,
} from '../support/processes.ts'
import { findFreePort, startProxy } from '../support/proxy.ts'
import { makeTempDir } from '../support/temp.ts'

const run = promisify(execFile)

const HELLO_CID = 'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'
const SOME_PEER_ID = '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN'

interface Pair {
  folder: string
  /** Repo of the seeder, before and after it serves. */
  seederRepo: string
  /** Repo of the receiver. */
  repo: string
}

async function makePair(scope: CleanUpScope): Promise<Pair> {
  const folder = await makeTempDir(scope)
  return { folder, seederRepo: join(folder, 'seeder'), repo: join(folder, 'receiver') }
}

/** Adds a path to the seeder's repo and serves it. */
async function seed(scope: CleanUpScope, { seederRepo }: Pair, path: string): Promise<{ cid: string; seeder: Serve }> {
  const cid = await addPath(seederRepo, path)
  return { cid, seeder: await startServe(scope, seederRepo) }
}

test('add prints each root CID alone on a line, in the order of the paths', async (t) => {
  const folder = await makeTempDir(t)
  const hello = join(folder, 'hello')
  const empty = join(folder, 'empty')
  await writeFile(hello, 'hello world')
  await writeFile(empty, '')
  const { code, stdout } = await runP2p(['add', hello, empty, hello], { repo: join(folder, 'repo') })
  assert.equal(code, 0)
  const lines = stdout.toString().split('\n')
  assert.deepEqual([lines[0], lines[2], lines.length], [HELLO_CID, HELLO_CID, 4])
  assert.match(lines[1] ?? '', /^bafk[a-z2-7]+$/)
})

test('add says on stderr that nobody can reach it without serve', async (t) => {
  const folder = await makeTempDir(t)
  const hello = join(folder, 'hello')
  await writeFile(hello, 'hello world')
  const { stderr } = await runP2p(['add', hello], { repo: join(folder, 'repo') })
  assert.match(stderr, /p2p serve/)
})

test('add reads stdin, and add --json lists the roots', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const text = await runP2p(['add', '-'], { repo, stdin: [Buffer.from('hello '), Buffer.from('world')] })
  assert.equal(text.stdout.toString(), `${HELLO_CID}\n`, text.stderr)

  const file = join(folder, 'file')
  await writeRandomFile(file, 'stdin', 3 * MiB + 1)
  const [cid] = await addPaths(repo, file)
  const json = await runP2p(['add', '-', '--json'], { repo, stdin: randomChunks('stdin', 3 * MiB + 1) })
  const result = lastEvent(json.stdout) as unknown as { type: string; exitCode: number; roots: object[] }
  assert.deepEqual(
    { type: result.type, exitCode: result.exitCode, roots: result.roots },
    { type: 'result', exitCode: 0, roots: [{ path: '-', cid, bytes: 3 * MiB + 1 }] },
  )
})

test('add of something that is no file: the others get their CIDs, exit 10', async (t) => {
  const folder = await makeTempDir(t)
  const hello = join(folder, 'hello')
  const fifo = join(folder, 'fifo')
  await writeFile(hello, 'hello world')
  await run('mkfifo', [fifo])
  const { code, stdout, stderr } = await runP2p(['add', hello, fifo, hello], { repo: join(folder, 'repo') })
  assert.equal(code, 10, stderr)
  assert.equal(stdout.toString(), `${HELLO_CID}\n${HELLO_CID}\n`)
  assert.ok(stderr.includes(fifo), stderr)
})

test('a file goes from one repo to another, and progress and result are as documented', async (t) => {
  const pair = await makePair(t)
  const file = join(pair.folder, 'file')
  const digest = await writeRandomFile(file, 'one file', 20 * MiB + 17)
  const { cid, seeder } = await seed(t, pair, file)
  const output = join(pair.folder, 'output')
  const finished = await runP2p(['get', cid, '-o', output, '--peer', seeder.multiaddr, '--json'], { repo: pair.repo })
  const result = resultOfGet(finished)
  assert.equal(await sha256OfFile(output), digest)

  const { stats, ...rest } = result
  assert.deepEqual(
    { v: rest.v, type: rest.type, exitCode: rest.exitCode, cid: rest.cid, path: rest.path },
    { v: 1, type: 'result', exitCode: 0, cid, path: output },
  )
  assert.equal(stats.bytes, 20 * MiB + 17)
  assert.equal(stats.duplicateBytes, 0)
  // 21 leaves and the root.
  assert.equal(stats.blocks, 22)
  assert.ok(stats.seconds > 0)
  assert.deepEqual(
    stats.peers.map(({ peerId, multiaddr }) => ({ peerId, multiaddr })),
    [{ peerId: seeder.peerId, multiaddr: seeder.multiaddr }],
  )
  const events = finished.stdout.toString().trimEnd().split('\n')
  const progress = events.map((line) => JSON.parse(line)).filter(({ type }) => type === 'progress')
  for (const event of progress) assert.ok(Number.isInteger(event.bytes) && event.totalBytes !== undefined)
})

test('text output of get leaves stdout to results', async (t) => {
  const pair = await makePair(t)
  const file = join(pair.folder, 'file')
  await writeRandomFile(file, 'text', 100)
  const { cid, seeder } = await seed(t, pair, file)
  const output = join(pair.folder, 'output')
  const { code, stdout, stderr } = await runP2p(['get', cid, '-o', output, '--peer', seeder.multiaddr], {
    repo: pair.repo,
  })
  assert.equal(code, 0, stderr)
  assert.equal(stdout.toString(), '')
})

test('get -o - writes the bytes to stdout and nothing else', async (t) => {
  const pair = await makePair(t)
  const file = join(pair.folder, 'file')
  await writeRandomFile(file, 'stdout', 5 * MiB + 1)
  const { cid, seeder } = await seed(t, pair, file)
  const { code, stdout, stderr } = await runP2p(['get', cid, '-o', '-', '--peer', seeder.multiaddr], {
    repo: pair.repo,
  })
  assert.equal(code, 0, stderr)
  assert.ok(stdout.equals(await readFile(file)))
})

test('a link with a provider is enough, and names the file', async (t) => {
  const pair = await makePair(t)
  const file = join(pair.folder, 'file')
  const digest = await writeRandomFile(file, 'link', 2 * MiB)
  const { cid, seeder } = await seed(t, pair, file)
  const link = `ipfs://${cid}?filename=from-link.bin&provider=${encodeURIComponent(seeder.multiaddr)}`
  const downloads = join(pair.folder, 'downloads')
  await mkdir(downloads)
  await getJson([link], { repo: pair.repo, cwd: downloads })
  assert.deepEqual(await readdir(downloads), ['from-link.bin'])
  assert.equal(await sha256OfFile(join(downloads, 'from-link.bin')), digest)
})

test('a folder with nested and empty folders and empty files arrives as it was', async (t) => {
  const pair = await makePair(t)
  const tree = join(pair.folder, 'tree')
  for (const path of ['a/b/c/d', 'empty', 'a/empty']) await mkdir(join(tree, path), { recursive: true })
  for (const [path, byteCount] of [
    ['zero', 0],
    ['a/one', 1],
    ['a/b/zero', 0],
    ['a/b/c/exactly-one-chunk', MiB],
    ['a/b/c/d/two-chunks', MiB + 1],
    ['a/b/c/d/ name with spaces, ünïcode and 100%', 10],
  ] as const) {
    await writeRandomFile(join(tree, path), path, byteCount)
  }
  const { cid, seeder } = await seed(t, pair, tree)
  const output = join(pair.folder, 'output')
  await getJson([cid, '-o', output, '--peer', seeder.multiaddr], { repo: pair.repo })
  assert.deepEqual(await describeTree(output), await describeTree(tree))

  const part = join(pair.folder, 'part')
  await getJson([`${cid}/a/b`, '-o', part, '--peer', seeder.multiaddr], { repo: pair.repo })
  assert.deepEqual(await describeTree(part), await describeTree(join(tree, 'a/b')))
})

test('a folder of 6,000 files, which is sharded, arrives as it was', async (t) => {
  const pair = await makePair(t)
  const tree = join(pair.folder, 'tree')
  await mkdir(tree)
  const names = Array.from({ length: 6000 }, (_, i) => `file-number-${i}`)
  for (const name of names) await writeFile(join(tree, name), name)
  const { cid, seeder } = await seed(t, pair, tree)
  const output = join(pair.folder, 'output')
  await getJson([cid, '-o', output, '--peer', seeder.multiaddr], { repo: pair.repo })
  assert.deepEqual(await describeTree(output), await describeTree(tree))

  const one = join(pair.folder, 'one')
  await getJson([`${cid}/file-number-4711`, '-o', one, '--copy', '--pin', '--peer', seeder.multiaddr], {
    repo: join(pair.folder, 'third'),
  })
  assert.equal(await readFile(one, 'utf8'), 'file-number-4711')
  await rm(one)
  const again = ['get', `${cid}/file-number-4711`, '-o', one, '--offline']
  const { code, stderr } = await runP2p(again, { repo: join(pair.folder, 'third') })
  assert.deepEqual([code, await readFile(one, 'utf8')], [0, 'file-number-4711'], stderr)
})

test('a file of 0 bytes', async (t) => {
  const pair = await makePair(t)
  const file = join(pair.folder, 'file')
  await writeFile(file, '')
  const { cid, seeder } = await seed(t, pair, file)
  const output = join(pair.folder, 'output')
  const { stats } = await getJson([cid, '-o', output, '--peer', seeder.multiaddr], { repo: pair.repo })
  assert.equal((await stat(output)).size, 0)
  assert.equal(stats.bytes, 0)
})

test('a block that occurs 1,000 times is fetched once', async (t) => {
  const pair = await makePair(t)
  const chunk = randomBytes('equal blocks', MiB)
  const added = await runP2p(['add', '-'], { repo: pair.seederRepo, stdin: Array<Buffer>(1000).fill(chunk) })
  const cid = added.stdout.toString().trim()
  const seeder = await startServe(t, pair.seederRepo)
  const output = join(pair.folder, 'output')
  const { stats } = await getJson([cid, '-o', output, '--peer', seeder.multiaddr], { repo: pair.repo })
  const expected = await writeChunks('/dev/null', Array<Buffer>(1000).fill(chunk))
  assert.equal(await sha256OfFile(output), expected)
  // One leaf, and a root of 1,000 links.
  assert.ok(stats.receivedBytes < 1.2 * MiB, `${stats.receivedBytes} bytes were received`)
})

test('a file of zeros costs one block', async (t) => {
  const pair = await makePair(t)
  const file = join(pair.folder, 'file')
  const digest = await writeChunks(file, Array<Buffer>(64).fill(Buffer.alloc(MiB)))
  const { cid, seeder } = await seed(t, pair, file)
  const output = join(pair.folder, 'output')
  const { stats } = await getJson([cid, '-o', output, '--peer', seeder.multiaddr], { repo: pair.repo })
  assert.equal(await sha256OfFile(output), digest)
  assert.ok(stats.receivedBytes < MiB + 64 * KiB, `${stats.receivedBytes} bytes were received`)
})

test('a target that exists is left alone: exit 9; --force replaces it', async (t) => {
  const pair = await makePair(t)
  const file = join(pair.folder, 'file')
  const digest = await writeRandomFile(file, 'exists', 1000)
  const { cid, seeder } = await seed(t, pair, file)
  const output = join(pair.folder, 'output')
  await writeFile(output, 'mine')
  const args = ['get', cid, '-o', output, '--peer', seeder.multiaddr]
  const refused = await runP2p(args, { repo: pair.repo })
  assert.equal(refused.code, 9, refused.stderr)
  assert.equal(await readFile(output, 'utf8'), 'mine')
  const forced = await runP2p([...args, '--force'], { repo: pair.repo })
  assert.equal(forced.code, 0, forced.stderr)
  assert.equal(await sha256OfFile(output), digest)
})

test('a CID that nobody has, with nobody to ask: exit 3 and the reason', async (t) => {
  const folder = await makeTempDir(t)
  const output = join(folder, 'output')
  const { code, stderr } = await runP2p(['get', HELLO_CID, '-o', output, '--timeout', '5s'], {
    repo: join(folder, 'repo'),
  })
  assert.equal(code, 3, stderr)
  assert.ok(stderr.includes(HELLO_CID), stderr)
  assert.deepEqual(await readdir(folder), ['repo'])
})

test('a peer that cannot be reached: exit 5, and it is named', async (t) => {
  const folder = await makeTempDir(t)
  const peer = `/ip4/127.0.0.1/tcp/${await findFreePort()}/p2p/${SOME_PEER_ID}`
  const { code, stderr } = await runP2p(
    ['get', HELLO_CID, '-o', join(folder, 'output'), '--peer', peer, '--timeout', '5s'],
    { repo: join(folder, 'repo') },
  )
  assert.equal(code, 5, stderr)
  assert.ok(stderr.includes(SOME_PEER_ID), stderr)
})

test('a holder that does not answer: the second command names it, exit 4 after its timeout', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const hello = join(folder, 'hello')
  await writeFile(hello, 'hello world')
  const holder = await startServe(t, repo)
  holder.process.kill('SIGSTOP')
  const { code, stdout, stderr } = await runP2p(['add', hello, '--timeout', '1s'], { repo })
  assert.equal(code, 4, stderr)
  assert.equal(stdout.toString(), '')
  assert.match(stderr, /p2p serve/)
  assert.ok(stderr.includes(String(holder.process.pid)), stderr)
  holder.process.kill('SIGCONT')
  await holder.stop()
  assert.deepEqual(await addPaths(repo, hello), [HELLO_CID])
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`serve ends cleanly on ${signal}, also with a download under way`, async (t) => {
    const pair = await makePair(t)
    const file = join(pair.folder, 'file')
    await writeRandomFile(file, 'stop', 16 * MiB)
    const { cid, seeder } = await seed(t, pair, file)
    const proxy = await startProxy(t, { targetPort: portOf(seeder), bytesPerSecond: 4 * MiB })
    const get = startP2p(
      t,
      ['get', cid, '-o', join(pair.folder, 'output'), '--peer', `${proxy.multiaddr}/p2p/${seeder.peerId}`, '--json'],
      { repo: pair.repo },
    )
    await get.waitForEvent('progress', ({ bytes }) => Number(bytes) > 0)
    const asked = performance.now()
    seeder.process.kill(signal)
    const { code, signal: killedBy, stderr } = await seeder.process.finished
    assert.deepEqual({ code, killedBy }, { code: 0, killedBy: null }, stderr)
    // The promise that serve makes to whoever stops it.
    assert.ok(performance.now() - asked < 10 * SECOND_MS)
  })
}

test('get is interrupted: exit 130, no file, and the same command fetches only what is missing', async (t) => {
  const pair = await makePair(t)
  const file = join(pair.folder, 'file')
  const size = 24 * MiB
  const digest = await writeRandomFile(file, 'interrupted', size)
  const { cid, seeder } = await seed(t, pair, file)
  const proxy = await startProxy(t, { targetPort: portOf(seeder), bytesPerSecond: 8 * MiB })
  const downloads = join(pair.folder, 'downloads')
  await mkdir(downloads)
  const output = join(downloads, 'output')
  const args = ['get', cid, '-o', output, '--peer', `${proxy.multiaddr}/p2p/${seeder.peerId}`, '--json']

  const first = startP2p(t, args, { repo: pair.repo })
  const progress = await first.waitForEvent('progress', ({ bytes }) => Number(bytes) >= size / 3)
  first.kill('SIGINT')
  const interrupted = await first.finished
  assert.equal(interrupted.code, 130, interrupted.stderr)
  assert.equal(lastEvent(interrupted.stdout).exitCode, 130)
  assert.ok(!(await readdir(downloads)).includes('output'))

  const { stats } = resultOfGet(await runP2p(args, { repo: pair.repo }))
  assert.equal(await sha256OfFile(output), digest)
  const missing = size - Number(progress.bytes)
  assert.ok(stats.receivedBytes <= 1.02 * missing, `${stats.receivedBytes} received, ${missing} were missing`)
  assert.deepEqual(await readdir(downloads), ['output'])
})

function portOf({ multiaddr }: Serve): number {
  return Number(multiaddr.split('/')[4])
}
