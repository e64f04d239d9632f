/** Whatever `add` takes, `get` gives back: through a real repo, in one process, with nobody else asked. */

import assert from 'node:assert/strict'
import { mkdir, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { hasCode } from '../../../src/common/errors.ts'
import type { ProgressEvent } from '../../../src/common/progress.ts'
import { KiB, MiB } from '../../../src/common/units.ts'
import { parseCid } from '../../../src/dag/cid.ts'
import type { AddOptions } from '../../../src/node/api.ts'
import { type Node, openNode } from '../../../src/node/open.ts'
import { resolveLocation } from '../../../src/repo/location.ts'
import { decodeNode } from '../../../src/unixfs/decode.ts'
import { describeMetadata, describeTree, randomBytes } from '../../support/bytes.ts'
import { cleanUpAfter } from '../../support/clean-up.ts'
import { makeTempDir } from '../../support/temp.ts'

type Tree = { seed: string; bytes: number } | { target: string } | Map<string, Tree>

const SEED = 20_240_601

/** Around what makes a difference: a chunk, what is written with others in one go, and nothing at all. */
const BOUNDARIES = [0, 1, 256 * KiB, MiB, 2 * MiB]
  .flatMap((size) => [size - 1, size, size + 1])
  .filter((size) => size >= 0)

const ODD_NAMES = [
  ...['line\nbreak', '\u001b[2J', 'back\\slash', 'C:', '-rf', '.hidden', '...', ' ', '\ufeffmark', 'gpj.\u202etxt'],
  ...['e\u0301', 'é', '🦊', 'y'.repeat(255), 'ü'.repeat(127), 'a', 'b'],
]

function isFileName(name: string): boolean {
  return name !== '.' && name !== '..' && !/[/\0\p{Cs}]/u.test(name) && Buffer.byteLength(name) <= 255
}

const names = fc.oneof(
  fc.constantFrom(...ODD_NAMES),
  fc.string({ unit: 'binary', minLength: 1, maxLength: 12 }).filter(isFileName),
)
const files = fc.record({
  seed: fc.constantFrom('one', 'other'),
  bytes: fc.oneof({ weight: 3, arbitrary: fc.nat(2000) }, { weight: 1, arbitrary: fc.constantFrom(...BOUNDARIES) }),
})
const links = fc.record({ target: fc.constantFrom('.', 'nowhere', 'a/b', './a\nb/', 'a//b') })

const { folder: folders } = fc.letrec<{ folder: Map<string, Tree>; entry: Tree }>((tie) => ({
  entry: fc.oneof({ maxDepth: 3, withCrossShrink: true }, files, links, tie('folder')),
  folder: fc.array(fc.tuple(names, tie('entry')), { maxLength: 6 }).map((entries) => new Map(entries)),
}))

async function writeTree(path: string, tree: Tree): Promise<void> {
  if (tree instanceof Map) {
    await mkdir(path)
    for (const [name, entry] of tree) await writeTree(join(path, name), entry)
  } else if ('target' in tree) await symlink(tree.target, path)
  else await writeFile(path, randomBytes(tree.seed, tree.bytes))
}

async function openLocalNode(t: TestContext): Promise<{ node: Node; folder: string }> {
  const folder = await makeTempDir(t)
  const node = await openNode({
    location: resolveLocation({ repo: join(folder, 'repo'), env: {}, home: folder, cwd: folder }),
    command: 'p2p test',
    holdTimeoutMs: 10_000,
    listen: [],
    bootstrap: [],
    role: 'client',
  })
  cleanUpAfter(t, () => node.close())
  return { node, folder }
}

/** Adds what stands at the path, and gets it again beside it. */
async function addAndGet(node: Node, source: string, options: AddOptions = {}): Promise<{ copy: string; cid: CID }> {
  const copy = `${source}-copy`
  const { roots } = await node.add([{ path: source }], { hidden: true, ...options })
  const cid = roots[0]?.cid ?? ''
  const { skipped } = await node.get(cid, { target: { kind: 'path', path: copy }, offline: true })
  assert.deepEqual(skipped, [])
  return { copy, cid: parseCid(cid) }
}

test('any tree that was added is the same when it is got again', async (t) => {
  const { node, folder } = await openLocalNode(t)
  const source = join(folder, 'source')
  await fc.assert(
    fc.asyncProperty(folders, async (tree) => {
      await writeTree(source, tree)
      const { copy } = await addAndGet(node, source)
      assert.deepEqual(await describeTree(copy), await describeTree(source))
      await Promise.all([source, copy].map((path) => rm(path, { recursive: true })))
    }),
    { seed: SEED, numRuns: 25 },
  )
})

const CHUNK_BYTES = 1000
const FILE_LINKS = 3
/** Around whole chunks, full nodes, and full trees of up to three levels. */
const edges = fc
  .tuple(fc.constantFrom(0, 1, FILE_LINKS, FILE_LINKS ** 2, FILE_LINKS ** 3), fc.constantFrom(-1, 0, 1))
  .map(([chunks, change]) => Math.max(0, chunks * CHUNK_BYTES + change))
const entries = fc.uniqueArray(
  fc.record({
    name: names,
    bytes: edges,
    mode: fc.constantFrom(0o644, 0o600, 0o555),
    time: fc.constantFrom('1', '-5.25', '1234567890.125'),
  }),
  { selector: ({ name }) => name, maxLength: 8 },
)
const switches = fc.record({
  profile: fc.constantFrom('unixfs-v1-2025', 'unixfs-v0-2015'),
  cidVersion: fc.constant(1),
  hash: fc.constantFrom('sha2-256', 'sha2-512', 'blake3', 'blake2b-160'),
  rawLeaves: fc.boolean(),
  trickle: fc.boolean(),
  inline: fc.boolean(),
  maxDirectoryLinks: fc.constantFrom(0, 2),
  maxHamtFanout: fc.constantFrom(8, 128, 256),
})

test('whatever switches made it, a tree is the same when it is got again, with modes and times where they are kept', async (t) => {
  const { node, folder } = await openLocalNode(t)
  const source = join(folder, 'source')
  await fc.assert(
    fc.asyncProperty(entries, switches, fc.boolean(), async (files, made, keeps) => {
      await Promise.all([source, `${source}-copy`].map((path) => rm(path, { recursive: true, force: true })))
      await mkdir(source)
      for (const { name, bytes, mode, time } of files) {
        await writeFile(join(source, name), randomBytes(name, bytes), { mode })
        await utimes(join(source, name), time, time)
      }
      await utimes(source, '4', '4')
      const { copy } = await addAndGet(node, source, {
        ...made,
        chunker: `size-${CHUNK_BYTES}`,
        maxFileLinks: FILE_LINKS,
        preserveMode: keeps,
        preserveMtime: keeps,
      })
      assert.deepEqual(await describeTree(copy), await describeTree(source))
      if (keeps) assert.deepEqual(await describeMetadata(copy), await describeMetadata(source))
    }),
    { seed: SEED, numRuns: 40 },
  )
})

test('a folder is the same on both sides of where it becomes a HAMT', async (t) => {
  const { node, folder } = await openLocalNode(t)
  // 4 bytes, 885 entries of 296, and one of 180 with a name of 134 bytes are the 262,144 bytes that one block may have.
  for (const { lastName, kind } of [
    { lastName: 134, kind: 'directory' },
    { lastName: 135, kind: 'shard' },
  ]) {
    const source = join(folder, `source-${lastName}`)
    await mkdir(source)
    for (let index = 0; index < 885; index++) await writeFile(join(source, String(index).padStart(250)), '')
    await writeFile(join(source, 'last'.padStart(lastName)), '')
    const { copy, cid } = await addAndGet(node, source)
    const blocks: Uint8Array[] = []
    const write = async (bytes: Uint8Array) => void blocks.push(bytes)
    await node.run('block-get', { ref: cid.toString(), offline: true, write })
    assert.equal(decodeNode(cid, Buffer.concat(blocks)).kind, kind)
    assert.deepEqual(await describeTree(copy), await describeTree(source))
  }
})

test('a target whose folder is not there is refused with what to do, and nothing is made', async (t) => {
  const { node, folder } = await openLocalNode(t)
  const source = join(folder, 'source')
  await writeFile(source, 'content')
  const { roots } = await node.add([{ path: source }])
  const get = (path: string) => node.get(roots[0]?.cid ?? '', { target: { kind: 'path', path }, offline: true })
  await assert.rejects(get(join(folder, 'a', 'b', 'copy')), (error) => {
    return hasCode(error, 'io') && /There is no folder .*a\/b$/.test(error.message) && /mkdir -p/.test(error.hint ?? '')
  })
  await assert.rejects(get(join(source, 'copy')), (error) => hasCode(error, 'io') && /not a folder/.test(error.message))
  const inside = node.get(roots[0]!.cid, { target: { kind: 'inside', folder: source }, offline: true })
  await assert.rejects(inside, (error) => hasCode(error, 'io') && /source is not a folder$/.test(error.message))
  assert.deepEqual((await readdir(folder)).toSorted(), ['repo', 'source'])
})

test('a download that was finished and could not say so is complete; one that was told stands in the way', async (t) => {
  const { node, folder } = await openLocalNode(t)
  const source = join(folder, 'source')
  await mkdir(source)
  await writeFile(join(source, 'file'), 'content')
  const { roots } = await node.add([{ path: source }])
  const cid = roots[0]?.cid ?? ''
  const notes: string[] = []
  const onProgress = (event: ProgressEvent) => event.type === 'note' && notes.push(event.message)
  const get = () => node.get(cid, { target: { kind: 'path', path: join(folder, 'copy') }, offline: true, onProgress })
  await get()
  await assert.rejects(get(), (error) => hasCode(error, 'target-exists'))
  // As if the process had ended before it could keep the root.
  await node.run('pin-rm', { cids: [cid] })
  assert.equal((await get()).stats.bytes, 'content'.length)
  assert.deepEqual(notes, ['copy is complete already.'])
  await assert.rejects(get(), (error) => hasCode(error, 'target-exists'))
})

test('what is written to a stream is not said to be made safe on disk', async (t) => {
  const { node, folder } = await openLocalNode(t)
  const path = join(folder, 'file')
  await writeFile(path, 'content')
  const { roots } = await node.add([{ path }])
  const phases = new Set<string>()
  const onProgress = (event: ProgressEvent) => {
    if (event.type === 'progress') phases.add(event.phase)
  }
  const options = { ref: roots[0]!.cid, offline: true, onProgress }
  assert.deepEqual(await node.run('cat', { ...options, write: async () => {} }), { cid: roots[0]!.cid, bytes: 7 })
  assert.deepEqual([phases.size > 0, phases.has('finishing')], [true, false])
  await node.get(options.ref, { ...options, target: { kind: 'path', path: join(folder, 'copy') } })
  assert.ok(phases.has('finishing'))
})
