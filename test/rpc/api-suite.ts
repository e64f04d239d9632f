/** What every implementation of `Api` does alike: the node that holds the repo, and a command that goes through it. */

import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ProgressEvent } from '../../src/common/progress.ts'
import { KiB, MiB } from '../../src/common/units.ts'
import type { PinEntry } from '../../src/node/api/pins.ts'
import type { AddedRoot, Api, GetTarget } from '../../src/node/api.ts'
import { type Node, openNode } from '../../src/node/open.ts'
import { resolveLocation } from '../../src/repo/location.ts'
import { sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { lookSuite } from './look-suite.ts'

export interface MadeApi {
  api: Api
  /** A folder for the files of the test. */
  folder: string
}

const OTHER_PEER = '12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'
const MISSING_CID = 'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'

export function apiSuite(name: string, make: (t: TestContext) => Promise<MadeApi>): void {
  const apiTest = (title: string, body: (made: MadeApi) => Promise<void>) =>
    test(`${name}: ${title}`, async (t) => await body(await make(t)))

  /** Adds a file of random bytes. */
  const addFile = async ({ api, folder }: MadeApi, byteCount: number) => {
    const path = join(folder, 'source')
    const digest = await writeRandomFile(path, 'api', byteCount)
    const { roots } = await api.add([{ path }])
    return { path, digest, cid: roots[0]?.cid ?? '' }
  }

  const streamTo = (written: Uint8Array[], offset?: number): GetTarget => ({
    kind: 'stream',
    offset,
    write: async (bytes) => {
      written.push(Uint8Array.from(bytes))
    },
  })

  apiTest('add tells each root as it is there, and all of them in the end', async ({ api, folder }) => {
    const paths = ['one', 'two'].map((file) => join(folder, file))
    for (const path of paths) await writeFile(path, path)
    await writeFile(join(folder, '.hidden'), '')
    const told: AddedRoot[] = []
    const events: ProgressEvent[] = []
    const result = await api.add([...paths.map((path) => ({ path })), { path: folder }], {
      onRoot: (root) => told.push(root),
      onProgress: (event) => events.push(event),
    })
    assert.deepEqual(
      result.roots.map(({ path }) => path),
      [...paths, folder],
    )
    assert.deepEqual(told, result.roots)
    assert.deepEqual({ ...result, roots: [] }, { roots: [], failures: [], skippedHidden: 1, servedAt: [] })
    assert.ok(events.some(({ type }) => type === 'add-progress'))
  })

  apiTest('add takes its options', async ({ api, folder }) => {
    const tree = join(folder, 'tree')
    await mkdir(tree)
    await writeFile(join(tree, '.hidden'), 'content')
    const [without, withHidden] = [await api.add([{ path: tree }]), await api.add([{ path: tree }], { hidden: true })]
    assert.notEqual(without.roots[0]?.cid, withHidden.roots[0]?.cid)
    assert.equal(withHidden.skippedHidden, 0)
  })

  apiTest('add reads a stream between files', async (made) => {
    const { path, cid } = await addFile(made, 3 * MiB + 1)
    const content = await readFile(path)
    async function* stream() {
      for (let start = 0; start < content.byteLength; start += 100 * KiB)
        yield content.subarray(start, start + 100 * KiB)
      yield content.subarray(0, 0)
    }
    const { roots } = await made.api.add([{ path }, { name: '-', content: stream() }])
    assert.deepEqual(
      roots.map((root) => root.cid),
      [cid, cid],
    )
    assert.equal(roots[1]?.path, '-')
  })

  apiTest('a stream that breaks leaves its root out and the others in', async (made) => {
    const { path, cid } = await addFile(made, 100)
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('begun')
      throw Object.assign(new Error('broken'), { code: 'EIO' })
    }
    const result = await made.api.add([{ name: '-', content: broken() }, { path }])
    assert.deepEqual(
      result.roots.map((root) => root.cid),
      [cid],
    )
    const message = 'Cannot read -: an input/output error (EIO)'
    assert.deepEqual(result.failures, [{ path: '-', code: 'io', message, problems: [message] }])
  })

  apiTest('errors arrive with their code, message and hint', async (made) => {
    const { api, folder } = made
    const path = join(folder, 'missing')
    await assert.rejects(api.add([{ path }]), { name: 'P2PError', code: 'not-found', message: new RegExp(path) })
    const { cid, path: source } = await addFile(made, 10)
    await assert.rejects(api.get(cid, { target: { kind: 'path', path: source } }), {
      code: 'target-exists',
      hint: /--force/,
    })
    const target = { kind: 'path', path: join(folder, 'result') } as const
    await assert.rejects(api.get(MISSING_CID, { target, offline: true }), { code: 'not-found' })
    await assert.rejects(api.get('nonsense', { target }), { code: 'bad-ref' })
  })

  apiTest('get puts a file in its place, and says what it did', async (made) => {
    const { cid, digest } = await addFile(made, 2 * MiB)
    const events: ProgressEvent[] = []
    const path = join(made.folder, 'result')
    const result = await made.api.get(cid, {
      target: { kind: 'path', path },
      offline: true,
      onProgress: (event) => events.push(event),
    })
    assert.equal(await sha256OfFile(path), digest)
    assert.deepEqual(
      { cid: result.cid, path: result.path, skipped: result.skipped, bytes: result.stats.bytes },
      { cid, path, skipped: [], bytes: 2 * MiB },
    )
    const inside = join(made.folder, 'inside')
    await mkdir(inside)
    const second = await made.api.get(cid, { target: { kind: 'inside', folder: inside }, offline: true })
    assert.equal(second.path, join(inside, cid))
  })

  apiTest('get streams a file, from any byte on', async (made) => {
    const { cid, path } = await addFile(made, 3 * MiB + 7)
    const content = await readFile(path)
    for (const offset of [undefined, 0, MiB + 1, 3 * MiB + 7]) {
      const written: Uint8Array[] = []
      const { path: none } = await made.api.get(cid, { target: streamTo(written, offset), offline: true })
      assert.equal(none, null)
      assert.ok(Buffer.concat(written).equals(content.subarray(offset ?? 0)))
    }
  })

  apiTest('a writer that fails ends the download with its error', async (made) => {
    const { cid } = await addFile(made, 3 * MiB)
    const failure = new Error('the reader has gone')
    const target: GetTarget = {
      kind: 'stream',
      write: async () => {
        throw failure
      },
    }
    await assert.rejects(made.api.get(cid, { target, offline: true }), (error) => error === failure)
  })

  apiTest('a call that is cancelled rejects with the reason, and the next one works', async (made) => {
    const reason = new Error('ended by the user')
    const adding = new AbortController()
    async function* endless() {
      for (;;) yield Buffer.alloc(64 * KiB)
    }
    const add = made.api.add([{ name: '-', content: endless() }], {
      signal: adding.signal,
      onProgress: (event) => {
        if (event.type === 'add-progress' && event.bytes > MiB) adding.abort(reason)
      },
    })
    await assert.rejects(add, (error) => error === reason)

    const { cid } = await addFile(made, 3 * MiB)
    const getting = new AbortController()
    const stuck: GetTarget = {
      kind: 'stream',
      write: async () => {
        getting.abort(reason)
        await new Promise(() => {})
      },
    }
    const get = made.api.get(cid, { target: stuck, offline: true, signal: getting.signal })
    await assert.rejects(get, (error) => error === reason)

    const ended = { signal: AbortSignal.abort(reason) }
    await assert.rejects(made.api.add([{ path: made.folder }], ended), (error) => error === reason)
    const written: Uint8Array[] = []
    await made.api.get(cid, { target: streamTo(written), offline: true })
    assert.equal(Buffer.concat(written).byteLength, 3 * MiB)
  })

  apiTest('downloads to one target take turns', async (made) => {
    const { cid, digest } = await addFile(made, 4 * MiB)
    const target = { kind: 'path', path: join(made.folder, 'result') } as const
    const results = await Promise.allSettled(
      Array.from({ length: 3 }, () => made.api.get(cid, { target, offline: true })),
    )
    assert.deepEqual(results.map((result) => (result.status === 'fulfilled' ? '' : result.reason.code)).sort(), [
      '',
      'target-exists',
      'target-exists',
    ])
    assert.equal(await sha256OfFile(target.path), digest)
  })

  apiTest('an operation of the table takes its options and gives its result', async ({ api }) => {
    const [first, second] = [await api.run('id', {}), await api.run('id', {})]
    assert.match(first.peerId, /^12D3Koo/)
    assert.deepEqual(second, { peerId: first.peerId, multiaddrs: [] })
    const reason = new Error('ended by the user')
    await assert.rejects(api.run('id', { signal: AbortSignal.abort(reason) }), (error) => error === reason)
  })

  lookSuite(apiTest)

  apiTest('status tells of every root, and stop that there is nothing to stop', async (made) => {
    const { api, folder } = made
    const { cid } = await addFile(made, 10)
    const told: object[] = []
    const result = await api.run('status', { onEvent: (root) => void told.push(root) })
    assert.deepEqual(result, { server: null, roots: 1, bytes: 10 })
    assert.deepEqual(told, [{ cid, name: 'source', bytes: 10, kind: 'recursive', announced: null }])
    await assert.rejects(api.run('stop', {}), {
      code: 'not-found',
      message: /No server runs .* `p2p test` \(pid \d+\)/,
    })
    await assert.rejects(api.run('config-set', { name: 'limits.p', words: ['1MiB'] }), {
      code: 'usage',
      hint: /"limits.up"/,
    })
    const { path, value, holder } = await api.run('config-set', { name: 'limits.up', words: ['1MiB'] })
    assert.deepEqual([value, holder.command], [MiB, 'p2p test'])
    assert.deepEqual(JSON.parse(await readFile(path, 'utf8')), { limits: { up: '1MiB' } })
    assert.ok(path.startsWith(join(folder, '..')))
  })

  test(`${name}: peers are connected to, shown with what they gave, and found by what they have`, async (t) => {
    const { api, folder } = await make(t)
    const seeder = await openSeeder(t, folder)
    const path = join(folder, 'source')
    await writeRandomFile(path, 'seeded', 2 * MiB)
    const [root] = (await seeder.add([{ path }])).roots
    assert.deepEqual((await api.run('peers', {})).peers, [])
    await assert.rejects(api.run('find', { ref: root!.cid }), { code: 'no-provider', message: /no DHT could be asked/ })

    const [multiaddr = ''] = seeder.multiaddrs()
    const { peerId } = seeder
    assert.deepEqual(await api.run('connect', { multiaddr }), { peerId, multiaddr, path: 'loopback', stays: false })
    await api.get(root!.cid, { target: { kind: 'path', path: join(folder, 'result') }, peers: [multiaddr] })
    const { peers } = await api.run('peers', {})
    assert.deepEqual(
      peers.map((peer) => [peer.peerId, peer.multiaddr, peer.path, peer.direction]),
      [[peerId, multiaddr, 'loopback', 'out']],
    )
    assert.ok(peers[0]!.receivedBytes > 2 * MiB && peers[0]!.receivedBytes < 2.1 * MiB)
    const taken = (await seeder.run('peers', {})).peers
    assert.equal(taken[0]?.direction, 'in')
    assert.ok(taken[0]!.sentBytes > 2 * MiB && taken[0]!.sentBytes < 2.1 * MiB)

    const found: { peerId: string; via: string }[] = []
    const result = await api.run('find', { ref: root!.cid, onEvent: (provider) => void found.push(provider), limit: 1 })
    assert.deepEqual(result, { cid: root!.cid, providers: 1, timedOut: false })
    assert.deepEqual(found, [{ peerId, multiaddrs: [multiaddr], via: 'lan-dht' }])
    await assert.rejects(api.run('find', { ref: MISSING_CID, timeoutMs: 1 }), { code: 'timeout' })

    await assert.rejects(api.run('connect', { multiaddr: '/ip4/127.0.0.1/tcp/1' }), { code: 'bad-ref' })
    await assert.rejects(api.run('connect', { multiaddr: `/ip4/127.0.0.1/tcp/1/p2p/${OTHER_PEER}` }), {
      code: 'network',
    })
  })

  apiTest('what is kept is listed, given up, collected and verified', async (made) => {
    const { api } = made
    const { cid } = await addFile(made, 3 * MiB)
    await api.run('pin-add', { ref: cid, name: 'mine', offline: true })
    const listed: PinEntry[] = []
    const onEvent = (entry: PinEntry) => void listed.push(entry)
    assert.deepEqual(await api.run('pin-ls', { all: true, onEvent }), { pins: 1 })
    assert.deepEqual(
      listed.map((entry) => [entry.cid, entry.kind, entry.name, entry.bytes]),
      [[cid, 'recursive', 'mine', 3 * MiB]],
    )
    const { blocks, bytes, problems } = await api.run('verify', {})
    assert.deepEqual([blocks, problems], [4, 0])
    assert.deepEqual(await api.run('gc', {}), { blocks: 0, bytes: 0, references: 0 })
    assert.deepEqual(await api.run('pin-rm', { cids: [cid] }), { removed: [cid], failures: [] })
    assert.deepEqual(await api.run('gc', { dryRun: true }), { blocks: 4, bytes, references: 0 })
    assert.deepEqual(await api.run('gc', {}), { blocks: 4, bytes, references: 0 })
    const { pins, blocks: left } = await api.run('repo', {})
    assert.deepEqual([pins, left], [0, 0])
  })
}

/** A node that serves and answers in the DHT, and knows nobody. */
async function openSeeder(t: TestContext, folder: string): Promise<Node> {
  const seeder = await openNode({
    location: resolveLocation({ repo: join(folder, 'seeder'), env: {}, home: folder, cwd: folder }),
    command: 'p2p seeder',
    holdTimeoutMs: 0,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: [],
    role: 'server',
  })
  cleanUpAfter(t, () => seeder.close())
  await seeder.startNetwork()
  seeder.startAnnouncing({ onAnnounced: () => {} })
  return seeder
}
