import assert from 'node:assert/strict'
import { truncateSync } from 'node:fs'
import { chmod, lutimes, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { References } from '../../../src/blockstore/references.ts'
import { systemClock } from '../../../src/common/clock.ts'
import { P2PError } from '../../../src/common/errors.ts'
import type { AddProgress, ProgressEvent } from '../../../src/common/progress.ts'
import { MiB } from '../../../src/common/units.ts'
import { parseCid } from '../../../src/dag/cid.ts'
import type { AddOptions, AddSource } from '../../../src/node/api.ts'
import { addSources, hashSources } from '../../../src/node/operations/add.ts'
import type { HeldBlocks } from '../../../src/pin/held-blocks.ts'
import { Hold } from '../../../src/pin/hold.ts'
import type { NewPin } from '../../../src/pin/pins.ts'
import { randomBytes, randomChunks } from '../../support/bytes.ts'
import { exportWithLibrary } from '../../support/library-exporter.ts'
import { MemoryBlockStore } from '../../support/memory-blockstore.ts'
import { makePipe } from '../../support/special-files.ts'
import { makeTempDir } from '../../support/temp.ts'
import { cidOfText, vectors } from '../../support/vectors.ts'

/** Only imports that copy nothing make references. */
const noReferences = undefined as unknown as References

/** Only written when there is more than these tests add. */
const noIndex = undefined as unknown as HeldBlocks

const holding = <T>(work: (hold: Hold) => Promise<T>) => work(new Hold(noIndex, async () => {}))

/** A store and pins that write down in which order they are used. */
function makeNode(store = new MemoryBlockStore()) {
  const calls: string[] = []
  const recorded = Object.assign(store, {
    sync: async () => {
      calls.push('sync')
    },
  })
  const pins = {
    holding,
    add: async (pin: NewPin) => {
      calls.push(`pin ${pin.cid} ${pin.suggestedName} ${pin.bytes}`)
    },
  }
  const add = (sources: AddSource[], options: AddOptions = {}) =>
    addSources({ store: recorded, references: noReferences, pins, clock: systemClock }, sources, {
      onRoot: ({ cid }) => calls.push(`root ${cid}`),
      ...options,
    })
  return { store, calls, add }
}

async function makeTree(t: TestContext, files: Record<string, string | Buffer>, links: Record<string, string> = {}) {
  const root = join(await makeTempDir(t), 'tree')
  await mkdir(root)
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), content)
  }
  for (const [path, target] of Object.entries(links)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await symlink(target, join(root, path))
  }
  return root
}

function failing(error: unknown): MemoryBlockStore {
  return Object.assign(new MemoryBlockStore(), {
    put: async () => {
      throw error
    },
  })
}

for (const { files, links, switches, cid } of vectors.trees) {
  const names = [...Object.keys(files), ...Object.keys(links)].join(', ') || 'nothing'
  test(`a folder of ${names} with ${JSON.stringify(switches)} gets the CID of Kubo`, async (t) => {
    const root = await makeTree(t, files, links)
    const bytes = Object.values(files).reduce((sum, content) => sum + content.length, 0)
    const { roots } = await hashSources({ clock: systemClock }, [{ path: root }], switches)
    assert.deepEqual(roots, [{ path: root, cid, bytes }])
  })
}

test('a tree whose entries keep their mode and mtime gets the CIDs of Kubo', async (t) => {
  const { files, emptyFolder, link, times, since, cids } = vectors.metadataTree
  const root = await makeTree(t, Object.fromEntries(files.map((path) => [path, ''])), { [link[0]]: link[1] })
  await mkdir(join(root, emptyFolder))
  for (const [path, seconds] of Object.entries(times)) {
    const entry = join(root, path)
    if (path !== link[0]) await chmod(entry, path === '' ? 0o700 : files.includes(path) ? 0o644 : 0o755)
    await lutimes(entry, since + seconds, since + seconds)
  }
  for (const { options, cid } of cids) {
    const mode = options.mode === undefined ? undefined : Number.parseInt(options.mode, 8)
    const switches = { ...options, mode, profile: 'unixfs-v0-2015' }
    const { roots } = await hashSources({ clock: systemClock }, [{ path: root }], switches)
    assert.equal(roots[0]?.cid, cid, JSON.stringify(options))
  }
})

test('modes and times that are none are refused before anything is read', async () => {
  for (const options of [
    { mode: 0o10000 },
    { mtime: 'now' },
    { mtime: '1.0000000001' },
    { mtime: '1e3' },
    { mtime: '-' },
  ]) {
    await assert.rejects(hashSources({ clock: systemClock }, [{ path: '/nowhere' }], options), { code: 'usage' })
  }
})

test('patterns leave out what they match below the path, as gitignore says', async (t) => {
  const files = {
    'a.log': '1',
    'b.txt': '2',
    'sub/c.log': '3',
    'sub/keep.log': '4',
    'build/x': '5',
    'sub/build/y': '6',
  }
  const root = await makeTree(t, files)
  const rules = join(root, 'rules')
  await writeFile(rules, '# comment\n*.log\n!keep.log\nrules\n')
  const { add } = makeNode()
  const bytesOf = async (options: AddOptions) =>
    (await add([{ path: root }], { pin: false, ...options })).roots[0]?.bytes
  assert.equal(await bytesOf({ ignoreFiles: [rules] }), 4, 'b.txt, keep.log, x and y')
  assert.equal(await bytesOf({ ignoreFiles: [rules], ignore: ['/build/'] }), 3)
  assert.equal(await bytesOf({ ignore: ['build/', 'rules', '*.log'] }), 1)
  assert.equal(await bytesOf({ ignore: ['BUILD/', 'Rules', '*.LOG'] }), 6 + 32, 'none of these is here')
  assert.equal(await bytesOf({ ignore: ['tree'] }), 6 + 32, 'what was named is never left out')
  await assert.rejects(add([{ path: root }], { ignoreFiles: [join(root, 'gone')] }), {
    code: 'not-found',
    message: /gone/,
  })
})

test('empty folders are left out on demand, one step deep, but never what was named', async (t) => {
  const root = await makeTree(t, { 'a/file': '1' })
  await mkdir(join(root, 'empty/inner'), { recursive: true })
  const expected = await makeTree(t, { 'a/file': '1' })
  await mkdir(join(expected, 'empty'))
  const { add } = makeNode()
  const [one, other] = (await add([{ path: root }, { path: join(root, 'empty/inner') }], { emptyFolders: false })).roots
  assert.equal(one?.cid, (await add([{ path: expected }])).roots[0]?.cid)
  assert.equal(other?.cid, 'bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354')
})

test('links are followed on demand, and those that lead nowhere or in circles are refused', async (t) => {
  const target = await makeTree(t, { 'sub/file': 'content', plain: 'x' })
  const root = await makeTree(t, {}, { folder: join(target, 'sub'), file: join(target, 'plain') })
  const expected = await makeTree(t, { 'folder/file': 'content', file: 'x' })
  const { add } = makeNode()
  const followed = await add([{ path: root }], { followLinks: true })
  assert.equal(followed.roots[0]?.cid, (await add([{ path: expected }])).roots[0]?.cid)
  assert.notEqual((await add([{ path: root }])).roots[0]?.cid, followed.roots[0]?.cid)

  const broken = await makeTree(t, {}, { nowhere: 'gone' })
  const circle = await makeTree(t, { 'a/b': '1' }, { 'a/up': '..' })
  const { roots, failures } = await add([{ path: broken }, { path: circle }], { followLinks: true })
  assert.deepEqual(roots, [])
  assert.match(failures[0]!.message, /nowhere: it is a link that leads nowhere/)
  assert.match(failures[1]!.message, /up: it leads back to a folder that it lies in/)
})

test('wrapped paths are one root with their names in it, or none at all', async (t) => {
  const one = await makeTree(t, { a: '1' })
  const expected = await makeTree(t, { 'tree/a': '1', file: '22' })
  const file = join(dirname(expected), 'tree', 'file')
  const { add, calls } = makeNode()
  const { roots } = await add([{ path: one }, { path: file }], { wrap: true })
  const [plain] = (await add([{ path: expected }], { pin: false })).roots
  assert.deepEqual(roots, [{ path: '', cid: plain?.cid, bytes: 3 }])
  assert.deepEqual(calls.slice(0, 2), ['sync', `pin ${plain?.cid} tree 3`])

  await assert.rejects(add([{ path: one }, { path: expected }], { wrap: true }), {
    code: 'usage',
    message: /named "tree"/,
  })
  makePipe(join(one, 'pipe'))
  const failed = await add([{ path: one }, { path: file }], { wrap: true })
  assert.deepEqual([failed.roots, failed.failures.length], [[], 1])
})

test('each root is durable, then pinned, then told, in the order of the sources', async (t) => {
  const root = await makeTree(t, { 'a.txt': 'hello world', 'b.txt': 'hello world\n' })
  const { add, calls } = makeNode()
  const result = await add([{ path: join(root, 'b.txt') }, { path: join(root, 'a.txt') }])
  const [a, b] = [cidOfText('hello world'), cidOfText('hello world\n')]
  assert.deepEqual(calls, ['sync', `pin ${b} b.txt 12`, `root ${b}`, 'sync', `pin ${a} a.txt 11`, `root ${a}`])
  assert.deepEqual(result, {
    roots: [
      { path: join(root, 'b.txt'), cid: b, bytes: 12 },
      { path: join(root, 'a.txt'), cid: a, bytes: 11 },
    ],
    failures: [],
    skippedHidden: 0,
    servedAt: [],
  })
})

test('without pin, nothing is pinned', async (t) => {
  const root = await makeTree(t, { 'a.txt': 'hello world' })
  const { add, calls } = makeNode()
  await add([{ path: root }], { pin: false })
  assert.deepEqual(
    calls.map((call) => call.split(' ')[0]),
    ['sync', 'root'],
  )
})

test('a tree reads back whole, with large, small, empty and nested entries', async (t) => {
  const files = {
    'large-1': randomBytes('one', 2 * MiB + 1),
    'large-2': randomBytes('two', MiB + 1),
    chunk: randomBytes('three', MiB),
    empty: Buffer.alloc(0),
    'a/b/c/deep': Buffer.from('deep'),
    'x\\': Buffer.from('backslash'),
    ...Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`many/${i}`, Buffer.from(`${i}`)])),
  }
  const root = await makeTree(t, files)
  await mkdir(join(root, 'nothing'))
  const { add, store } = makeNode()
  const { roots } = await add([{ path: root }])
  const found = await exportWithLibrary(parseCid(roots[0]!.cid), store)
  assert.ok(found.has('nothing/'))
  for (const [path, content] of Object.entries(files)) assert.ok(found.get(path)?.equals(content), path)
  assert.equal(
    roots[0]!.bytes,
    Object.values(files).reduce((sum, content) => sum + content.length, 0),
  )
})

test('hidden entries are left out and counted, but never what was named', async (t) => {
  const root = await makeTree(t, { a: '1', '.b': '22', '.git/c': '333', 'd/.e': '4444' })
  const { add } = makeNode()
  const result = await add([{ path: root }, { path: join(root, '.git') }])
  assert.equal(result.skippedHidden, 3)
  assert.deepEqual(
    result.roots.map(({ bytes }) => bytes),
    [1, 3],
  )
  const all = await add([{ path: root }], { hidden: true })
  assert.equal(all.skippedHidden, 0)
  assert.equal(all.roots[0]?.bytes, 10)
})

test('streams are files', async () => {
  const { add, calls } = makeNode()
  const content = (async function* () {
    yield Buffer.from('hello ')
    yield Buffer.from('world')
  })()
  const { roots } = await add([{ name: 'stdin', content }])
  assert.deepEqual(roots, [{ path: 'stdin', cid: cidOfText('hello world'), bytes: 11 }])
  assert.match(calls[1]!, /^pin \S+ stdin 11$/)
})

test('a path that does not exist is not found, and nothing is imported', async (t) => {
  const root = await makeTree(t, { a: '1' })
  const { add, store, calls } = makeNode()
  await assert.rejects(add([{ path: root }, { path: join(root, 'gone') }]), { code: 'not-found', message: /gone/ })
  assert.equal(store.blocks.size, 0)
  assert.deepEqual(calls, [])
})

test('a source with something in it that cannot be added gets no CID, the others go on', async (t) => {
  const good = await makeTree(t, { a: '1' })
  const bad = await makeTree(t, { a: '1' })
  for (const name of ['pipe', 'pipe2']) makePipe(join(bad, name))
  const { add } = makeNode()
  const result = await add([{ path: bad }, { path: good }, { path: join(bad, 'pipe') }])
  assert.deepEqual(
    result.roots.map(({ path }) => path),
    [good],
  )
  assert.deepEqual(
    result.failures.map(({ path }) => path),
    [bad, join(bad, 'pipe')],
  )
  assert.match(result.failures[0]!.message, /pipe: it is a named pipe.* \(and 1 more problem\)$/)
})

test('a file that changes while it is imported fails its source only', async (t) => {
  const root = await makeTree(t, { 'tree/changing': randomBytes('changing', 3 * MiB), other: 'hello world' })
  const { add } = makeNode()
  const result = await add([{ path: join(root, 'tree') }, { path: join(root, 'other') }], {
    onProgress: () => truncateSync(join(root, 'tree/changing'), MiB),
  })
  assert.deepEqual(
    result.roots.map(({ cid }) => cid),
    [cidOfText('hello world')],
  )
  assert.deepEqual(
    result.failures.map(({ path }) => path),
    [join(root, 'tree')],
  )
  assert.match(result.failures[0]!.message, /changing: it changed while it was read/)
})

test('what the user may not read is a failure of its source', {
  skip: process.getuid?.() === 0 && 'root',
}, async (t) => {
  const root = await makeTree(t, { 'folder/file': '1', 'other/file': '2' })
  await chmod(join(root, 'folder/file'), 0)
  await chmod(join(root, 'other'), 0)
  const { add } = makeNode()
  const { roots, failures } = await add([{ path: join(root, 'folder') }, { path: join(root, 'other') }])
  await chmod(join(root, 'other'), 0o700)
  assert.deepEqual(roots, [])
  assert.deepEqual(
    failures.map(({ path, code, message }) => ({ path, code, message })),
    [
      {
        path: join(root, 'folder'),
        code: 'io',
        message: `Cannot read ${root}/folder/file: permission denied (EACCES)`,
      },
      { path: join(root, 'other'), code: 'io', message: `Cannot read ${root}/other: permission denied (EACCES)` },
    ],
  )
})

test('folders nested deeper than readers follow get no CID', async (t) => {
  const below = (levels: number) => `${'d/'.repeat(levels)}file`
  const root = await makeTree(t, { [below(128)]: '1' })
  const tooDeep = await makeTree(t, { [below(129)]: '1' })
  const { roots, failures } = await makeNode().add([{ path: root }, { path: tooDeep }])
  assert.deepEqual(
    roots.map(({ path }) => path),
    [root],
  )
  assert.match(failures[0]!.message, /nested deeper than 128/)
})

test('a stream that fails is a failure of its source', async () => {
  const { add } = makeNode()
  const content = (async function* () {
    yield Buffer.from('x')
    throw Object.assign(new Error('broken'), { code: 'EIO' })
  })()
  const { roots, failures } = await add([{ name: 'stdin', content }])
  assert.deepEqual(roots, [])
  const message = 'Cannot read stdin: an input/output error (EIO)'
  assert.deepEqual(failures, [{ path: 'stdin', code: 'io', message, problems: [message] }])
})

test('a store that fails ends the whole call', async (t) => {
  const root = await makeTree(t, { a: '1' })
  for (const failure of [new P2PError('io', 'bad disk'), new P2PError('disk-full', 'full'), new TypeError('a bug')]) {
    await assert.rejects(makeNode(failing(failure)).add([{ path: root }]), failure)
  }
})

test('a store that cannot be synced ends the whole call, and is no fault of the source', async (t) => {
  const root = await makeTree(t, { a: '1' })
  const failure = new P2PError('io', 'bad disk')
  const store = Object.assign(new MemoryBlockStore(), {
    sync: async () => {
      throw failure
    },
  })
  const parts = { store, references: noReferences, pins: { add: async () => {}, holding }, clock: systemClock }
  await assert.rejects(addSources(parts, [{ path: root }]), failure)
})

test('an aborted add rejects with the reason, also while a stream is silent', async (t) => {
  const root = await makeTree(t, { a: randomBytes('a', 3 * MiB) })
  // As the command line ends it: not to be taken for a fault of the tree.
  const reason = new P2PError('aborted', 'Ended by SIGINT')
  const early = AbortSignal.abort(reason)
  await assert.rejects(makeNode().add([{ path: root }], { signal: early }), reason)

  const during = new AbortController()
  const onProgress = () => during.abort(reason)
  await assert.rejects(makeNode().add([{ path: root }], { signal: during.signal, onProgress }), reason)

  const silent = new AbortController()
  const content = (async function* () {
    yield Buffer.from('x')
    setImmediate(() => silent.abort(reason))
    await new Promise<never>(() => {})
  })()
  await assert.rejects(makeNode().add([{ name: 'stdin', content }], { signal: silent.signal }), reason)
})

test('progress counts up to the total, at most every 100 ms of the clock', async (t) => {
  const root = await makeTree(t, { a: randomBytes('a', 20 * MiB), 'b/c': 'xyz' })
  const total = 20 * MiB + 3
  const addAt = async (msPerReading: number, source: AddSource) => {
    const events: AddProgress[] = []
    let nowMs = 0
    const clock = { monotonicMs: () => (nowMs += msPerReading), wallMs: () => 0 }
    const onProgress = (event: ProgressEvent) => {
      if (event.type === 'add-progress') events.push(event)
    }
    const pins = { add: async () => {}, holding }
    const parts = { store: new MemoryBlockStore(), references: noReferences, pins, clock }
    await addSources(parts, [source], { onProgress })
    return events
  }
  const stopped = await addAt(0, { path: root })
  assert.equal(stopped.length, 2, 'the first change and the end')
  const events = await addAt(1000, { path: root })
  assert.ok(events.length > 20)
  assert.ok(events.every(({ bytes, totalBytes }, i) => totalBytes === total && bytes >= (events[i - 1]?.bytes ?? 0)))
  const { bytesPerSecond, ...last } = events.at(-1)!
  assert.deepEqual(last, {
    type: 'add-progress',
    bytes: total,
    totalBytes: total,
    files: 2,
    totalFiles: 2,
    etaSeconds: 0,
  })
  assert.ok(bytesPerSecond > 0)
  const content = (async function* () {
    yield* randomChunks('stream', 2 * MiB)
  })()
  assert.equal((await addAt(0, { name: 'stdin', content })).at(-1)?.totalBytes, null)
})
