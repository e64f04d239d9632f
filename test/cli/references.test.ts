/**
 * Content that stays in the user's files: what `get` leaves, `get --copy`, and `add --nocopy`, as others see it who fetch
 * it from there.
 */

import assert from 'node:assert/strict'
import { cp, mkdir, open, readdir, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { describeTree, randomBytes, sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import type { CleanUpScope } from '../support/clean-up.ts'
import { addPath, getJson, runP2p, startServe } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'

const FILE_BYTES = 6 * MiB + 5

/** What the block files of a repo weigh. */
async function storedBytes(repo: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(join(repo, 'blocks'), { recursive: true })) {
    const stats = await stat(join(repo, 'blocks', entry))
    if (stats.isFile()) bytes += stats.size
  }
  return bytes
}

/** Serves the repo, lets a new one fetch the CID from it, and stops it. */
async function fetchFrom(scope: CleanUpScope, repo: string, cid: string) {
  const folder = await makeTempDir(scope)
  const output = join(folder, 'output')
  const serve = await startServe(scope, repo)
  const args = ['get', cid, '-o', output, '--peer', serve.multiaddr, '--timeout', '3s']
  const { code, stderr } = await runP2p(args, { repo: join(folder, 'receiver') })
  await serve.stop()
  return { code, stderr, output, served: (await serve.process.finished).stdout.toString() }
}

/** A file that came over the network: from a seeder, which is gone, into a repo. */
async function fetched(scope: CleanUpScope, ...flags: string[]) {
  const folder = await makeTempDir(scope)
  const original = join(folder, 'original')
  const digest = await writeRandomFile(original, 'fetched', FILE_BYTES)
  const cid = await addPath(join(folder, 'seeder'), original)
  const seeder = await startServe(scope, join(folder, 'seeder'))
  const repo = join(folder, 'repo')
  const file = join(folder, 'file')
  await getJson([cid, '-o', file, '--peer', seeder.multiaddr, ...flags], { repo })
  await seeder.stop()
  return { cid, repo, file, digest }
}

test('a finished download is served from the file, and not any more once that was changed', async (t) => {
  const { cid, repo, file, digest } = await fetched(t)
  assert.ok((await storedBytes(repo)) < MiB)
  const first = await fetchFrom(t, repo, cid)
  assert.equal(first.code, 0, first.stderr)
  assert.equal(await sha256OfFile(first.output), digest)

  const handle = await open(file, 'r+')
  await handle.write(Buffer.from('x'), 0, 1, 3 * MiB)
  await handle.close()
  const second = await fetchFrom(t, repo, cid)
  assert.notEqual(second.code, 0)
  assert.match(second.served, /file was changed, moved or removed/)
})

test('with --copy the store can do without the file', async (t) => {
  const { cid, repo, file, digest } = await fetched(t, '--copy')
  assert.ok((await storedBytes(repo)) > FILE_BYTES)
  await rm(file)
  const { code, stderr, output } = await fetchFrom(t, repo, cid)
  assert.equal(code, 0, stderr)
  assert.equal(await sha256OfFile(output), digest)
})

test('--copy after a download without it copies what is here, and asks nobody', async (t) => {
  const { cid, repo, file, digest } = await fetched(t)
  const copy = `${file}.copy`
  const { stats } = await getJson([cid, '-o', copy, '--copy', '--offline'], { repo })
  assert.equal(stats.receivedBytes, 0)
  await rm(file)
  await rm(copy)
  const { code, stderr, output } = await fetchFrom(t, repo, cid)
  assert.equal(code, 0, stderr)
  assert.equal(await sha256OfFile(output), digest)
})

test('add --nocopy gives the same CIDs, copies no content, and serves a tree from where it stands', async (t) => {
  const folder = await makeTempDir(t)
  const tree = join(folder, 'tree')
  await mkdir(join(tree, 'sub'), { recursive: true })
  await writeRandomFile(join(tree, 'large'), 'large', FILE_BYTES)
  await writeFile(join(tree, 'sub', 'small'), 'small')
  await writeFile(join(tree, 'sub', 'empty'), '')
  const repo = join(folder, 'repo')
  const { code, stdout, stderr } = await runP2p(['add', '--nocopy', tree], { repo })
  assert.equal(code, 0, stderr)
  assert.match(stderr, /not copied/)
  const cid = stdout.toString().trim()
  assert.equal(cid, await addPath(join(folder, 'copying'), tree))
  assert.ok((await storedBytes(repo)) < MiB)
  const { output, ...got } = await fetchFrom(t, repo, cid)
  assert.equal(got.code, 0, got.stderr)
  assert.deepEqual(await describeTree(output), await describeTree(tree))
})

test('bytes that changed under the same size and time are never served', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  await writeFile(file, randomBytes('file', FILE_BYTES))
  const repo = join(folder, 'repo')
  const { stdout } = await runP2p(['add', '--nocopy', file], { repo })
  const { atime, mtime } = await stat(file)
  const handle = await open(file, 'r+')
  await handle.write(Buffer.from('x'), 0, 1, 0)
  await handle.close()
  await utimes(file, atime, mtime)
  assert.notEqual((await fetchFrom(t, repo, stdout.toString().trim())).code, 0)
})

test('adding again what fails half-way leaves the first CID whole', async (t) => {
  const folder = await makeTempDir(t)
  const tree = join(folder, 'tree')
  await mkdir(tree)
  await writeRandomFile(join(tree, 'file'), 'again', FILE_BYTES)
  const repo = join(folder, 'repo')
  const first = await runP2p(['add', '--nocopy', tree], { repo })
  const link = join(tree, 'zzz')
  await symlink(Buffer.from([0xff, 0xfe]), link)
  assert.equal((await runP2p(['add', '--nocopy', tree], { repo })).code, 6)
  await rm(link)
  const output = join(folder, 'output')
  await getJson([first.stdout.toString().trim(), '-o', output, '--offline'], { repo })
  assert.deepEqual(await describeTree(output), await describeTree(tree))
})

test('of two equal files each is enough', async (t) => {
  const folder = await makeTempDir(t)
  const [one, two] = [join(folder, 'one'), join(folder, 'two')]
  await writeRandomFile(one, 'twin', FILE_BYTES)
  await cp(one, two)
  const repo = join(folder, 'repo')
  const first = await runP2p(['add', '--nocopy', one], { repo })
  await runP2p(['add', '--nocopy', two], { repo })
  await rm(one)
  const output = join(folder, 'output')
  await getJson([first.stdout.toString().trim(), '-o', output, '--offline'], { repo })
  assert.equal(await sha256OfFile(output), await sha256OfFile(two))
})

test('a file that was moved is missed, added again it is there', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  const digest = await writeRandomFile(file, 'moved', FILE_BYTES)
  const repo = join(folder, 'repo')
  const first = await runP2p(['add', '--nocopy', file], { repo })
  const cid = first.stdout.toString().trim()
  await rename(file, `${file}2`)
  assert.notEqual((await fetchFrom(t, repo, cid)).code, 0)
  const second = await runP2p(['add', '--nocopy', `${file}2`], { repo })
  assert.equal(second.stdout.toString().trim(), cid)
  const { code, stderr, output } = await fetchFrom(t, repo, cid)
  assert.equal(code, 0, stderr)
  assert.equal(await sha256OfFile(output), digest)
})

test('--nocopy with stdin: exit 2', async (t) => {
  const folder = await makeTempDir(t)
  const { code, stderr } = await runP2p(['add', '--nocopy', '-'], { repo: join(folder, 'repo'), stdin: [] })
  assert.equal(code, 2)
  assert.match(stderr, /--nocopy/)
})
