import assert from 'node:assert/strict'
import { truncateSync } from 'node:fs'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { References } from '../../../src/blockstore/references.ts'
import { systemClock } from '../../../src/common/clock.ts'
import { P2PError } from '../../../src/common/errors.ts'
import type { AddProgress, ProgressEvent } from '../../../src/common/progress.ts'
import { MiB } from '../../../src/common/units.ts'
import { parseCid } from '../../../src/dag/cid.ts'
import type { AddOptions, AddSource } from '../../../src/node/api.ts'
import { addSources } from '../../../src/node/operations/add.ts'
import type { HeldBlocks } from '../../../src/pin/held-blocks.ts'
import { Hold } from '../../../src/pin/hold.ts'
import type { NewPin } from '../../../src/pin/pins.ts'
import { randomBytes, randomChunks } from '../../support/bytes.ts'
import { exportWithLibrary } from '../../support/library-exporter.ts'
import { MemoryBlockStore } from '../../support/memory-blockstore.ts'
import { makePipe } from '../../support/special-files.ts'
import { makeTempDir } from '../../support/temp.ts'
import { vectors } from '../../support/vectors.ts'

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
      calls.push(`pin ${pin.cid} ${pin.name} ${pin.bytes}`)
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

for (const { files, links, cid } of vectors.trees) {
  test(`a folder of ${[...Object.keys(files), ...Object.keys(links)].join(', ') || 'nothing'} gets the CID of Kubo`, async (t) => {
    const root = await makeTree(t, files, links)
    const { add } = makeNode()
    const { roots } = await add([{ path: root }])
    const bytes = Object.values(files).reduce((sum, content) => sum + content.length, 0)
    assert.deepEqual(roots, [{ path: root, cid, bytes }])
  })
}

test('each root is durable, then pinned, then told, in the order of the sources', async (t) => {
  const root = await makeTree(t, { 'a.txt': 'hello world', 'b.txt': 'hello world\n' })
  const { add, calls } = makeNode()
  const result = await add([{ path: join(root, 'b.txt') }, { path: join(root, 'a.txt') }])
  const [, a, b] = vectors.files.map(({ cid }) => cid)
  assert.deepEqual(calls, ['sync', `pin ${b} b.txt 12`, `root ${b}`, 'sync', `pin ${a} a.txt 11`, `root ${a}`])
  assert.deepEqual(result, {
    roots: [
      { path: join(root, 'b.txt'), cid: b, bytes: 12 },
      { path: join(root, 'a.txt'), cid: a, bytes: 11 },
    ],
    failures: [],
    skippedHidden: 0,
    reachable: false,
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
  assert.deepEqual(roots, [{ path: 'stdin', cid: vectors.files[1]!.cid, bytes: 11 }])
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
  assert.match(result.failures[0]!.message, /pipe: it is a named pipe.* \(and 1 more like this\)$/)
})

test('a file that changes while it is imported fails its source only', async (t) => {
  const root = await makeTree(t, { 'tree/changing': randomBytes('changing', 3 * MiB), other: 'hello world' })
  const { add } = makeNode()
  const result = await add([{ path: join(root, 'tree') }, { path: join(root, 'other') }], {
    onProgress: () => truncateSync(join(root, 'tree/changing'), MiB),
  })
  assert.deepEqual(
    result.roots.map(({ cid }) => cid),
    [vectors.files[1]!.cid],
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
  assert.deepEqual(failures, [
    { path: join(root, 'folder'), message: `Cannot read ${root}/folder/file: EACCES` },
    { path: join(root, 'other'), message: `Cannot read ${root}/other: EACCES` },
  ])
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
  assert.deepEqual(failures, [{ path: 'stdin', message: 'Cannot read stdin: EIO' }])
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
  const reason = new Error('stop')
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
