/** Calls that go on when the holder ends. With whole processes: `test/cli/shared-repo.test.ts`. */

import assert from 'node:assert/strict'
import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { ProgressEvent } from '../../src/common/progress.ts'
import { MiB } from '../../src/common/units.ts'
import type { AddedRoot, Api } from '../../src/node/api.ts'
import { openNode } from '../../src/node/open.ts'
import { resolveLocation } from '../../src/repo/location.ts'
import type { Channels } from '../../src/rpc/channels.ts'
import { serveApi } from '../../src/rpc/server.ts'
import { SharedApi } from '../../src/rpc/shared-api.ts'
import { randomBytes } from '../support/bytes.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'

const NETWORK = {
  listen: [],
  seed: true,
  bootstrap: [],
  defaultBootstrap: [],
  limits: { up: null, down: null, lan: false },
}

const HELLO_CID = 'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'

async function makeSite(t: TestContext, holdTimeoutMs = 10_000) {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  await mkdir(repo, { mode: 0o700 })
  const location = resolveLocation({ repo, env: {}, home: folder, cwd: folder })
  const places = { userId: process.getuid?.(), runtimeDir: undefined, tempDir: folder }
  const options = { location, command: 'p2p test', holdTimeoutMs, listen: [], bootstrap: [] }
  const shared = new SharedApi({ ...options, places })
  cleanUpAfter(t, () => shared.close())
  return { folder, options, places, shared }
}

type Site = Awaited<ReturnType<typeof makeSite>>

/** Answers as a holder that does part of the work, and then ends. The repo itself is free to be opened. */
async function serveUntilEnd(t: TestContext, { places, options }: Site, operations: (end: () => void) => Partial<Api>) {
  const neverEnds = () => new Promise<never>(() => {})
  const api = { add: neverEnds, get: neverEnds, run: neverEnds, close: async () => {}, network: NETWORK }
  const server = await serveApi(
    Object.assign(
      api,
      operations(() => void server.close()),
    ),
    { dataDir: options.location.dataDir, places },
  )
  cleanUpAfter(t, () => server.close())
}

function untilAborted(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
}

test('add starts over, and tells no root twice', async (t) => {
  const site = await makeSite(t)
  const paths = ['one', 'two', 'three'].map((name) => join(site.folder, name))
  for (const path of paths) await writeFile(path, 'hello world')
  await serveUntilEnd(t, site, (end) => ({
    add: async (_sources, options) => {
      for (const path of paths.slice(0, 2)) options?.onRoot?.({ path, cid: HELLO_CID, bytes: 11 })
      end()
      return await untilAborted(options?.signal)
    },
  }))
  const told: AddedRoot[] = []
  const events: ProgressEvent[] = []
  // The same path twice is told twice.
  const sources = [...paths, ...paths].map((path) => ({ path }))
  const { roots } = await site.shared.add(sources, {
    onRoot: (root) => told.push(root),
    onProgress: (event) => events.push(event),
  })
  assert.deepEqual(
    told.map(({ path }) => path),
    [...paths, ...paths],
  )
  assert.deepEqual(roots, told)
  assert.ok(events.some((event) => event.type === 'note' && /has ended; going on without it/.test(event.message)))
})

test('add goes on with a stream that the holder had begun to read', async (t) => {
  const site = await makeSite(t)
  await serveUntilEnd(t, site, (end) => ({
    add: async ([source], options) => {
      assert.ok(source !== undefined && 'content' in source)
      await source.content[Symbol.asyncIterator]().next()
      end()
      return await untilAborted(options?.signal)
    },
  }))
  async function* content() {
    for (const part of ['hello', ' ', 'world']) yield Buffer.from(part)
  }
  const { roots } = await site.shared.add([{ name: '-', content: content() }])
  assert.equal(roots[0]?.cid, HELLO_CID)
})

test('a download to a stream continues at its byte', async (t) => {
  const site = await makeSite(t)
  const content = randomBytes('continues', 3 * MiB)
  const path = join(site.folder, 'file')
  await writeFile(path, content)
  const node = await openNode({ ...site.options, role: 'client' })
  const { roots } = await node.add([{ path }])
  await node.close()
  await serveUntilEnd(t, site, (end) => ({
    get: async (_ref, { target, signal }) => {
      assert.ok(target.kind === 'stream')
      await target.write(content.subarray(0, MiB + 17))
      end()
      return await untilAborted(signal)
    },
  }))
  const written: Uint8Array[] = []
  await site.shared.get(roots[0]?.cid ?? '', {
    offline: true,
    target: {
      kind: 'stream',
      write: async (bytes) => {
        written.push(Uint8Array.from(bytes))
      },
    },
  })
  assert.ok(Buffer.concat(written).equals(content))
})

test('an operation that starts over tells no event and writes no byte twice', async (t) => {
  const site = await makeSite(t)
  const holder = await openNode({ ...site.options, role: 'client' })
  cleanUpAfter(t, () => holder.close())
  let sent = ''
  /** One holder after the other does this much of it. */
  const doPart = async (channels: Channels, names: string[], parts: string[]) => {
    for await (const piece of channels.content ?? []) sent += Buffer.from(piece).toString()
    for (const name of names) await channels.onEvent?.({ name })
    for (const part of parts) await channels.write?.(Buffer.from(part))
  }
  const second = async (_name: string, channels: Channels) => {
    await doPart(channels, ['a', 'b', 'a', 'b'], ['hel', 'lo ', 'world'])
    return { peerId: 'second', multiaddrs: [] }
  }
  await serveUntilEnd(t, site, (end) => ({
    run: async (_name, channels: Channels) => {
      await doPart(channels, ['a', 'b', 'a'], ['hello w'])
      end()
      await untilAborted(channels.signal).catch(() => serveUntilEnd(t, site, () => ({ run: second as Api['run'] })))
      throw new Error('handed over')
    },
  }))
  async function* content() {
    yield Buffer.from('stdin')
  }
  const told: object[] = []
  const written: Uint8Array[] = []
  const channels: Channels = {
    content: content(),
    onEvent: (event) => void told.push(event),
    write: async (bytes) => void written.push(Uint8Array.from(bytes)),
  }
  assert.deepEqual(await site.shared.run('id', channels), { peerId: 'second', multiaddrs: [] })
  assert.deepEqual(told, [{ name: 'a' }, { name: 'b' }, { name: 'a' }, { name: 'b' }])
  assert.equal(Buffer.concat(written).toString(), 'hello world')
  assert.equal(sent, 'stdinstdin')
})

test('cat goes on at its byte, within the part that was asked for, and ls after what it has told', async (t) => {
  const site = await makeSite(t)
  const content = randomBytes('goes on', 3 * MiB)
  const tree = join(site.folder, 'tree')
  await mkdir(tree)
  for (const name of ['a', 'b', 'c']) await writeFile(join(tree, name), content)
  const node = await openNode({ ...site.options, role: 'client' })
  const { roots } = await node.add([{ path: tree }])
  await node.close()
  const ref = roots[0]?.cid ?? ''
  const listed = { cid: '', codec: '', kind: null, bytes: null, mode: null, mtime: null, target: null }
  const loseRest = () =>
    serveUntilEnd(t, site, (end) => ({
      run: async (_name, channels: Channels) => {
        // The same twice is told twice, since the order alone counts.
        for (const path of ['a', 'a']) await channels.onEvent?.({ ...listed, path })
        await channels.write?.(content.subarray(MiB, MiB + 1000))
        end()
        return await untilAborted(channels.signal)
      },
    }))

  await loseRest()
  const written: Uint8Array[] = []
  const write = async (bytes: Uint8Array) => void written.push(Uint8Array.from(bytes))
  await site.shared.run('cat', { ref: `${ref}/b`, offset: MiB, length: MiB + 7, write, offline: true })
  assert.ok(Buffer.concat(written).equals(content.subarray(MiB, 2 * MiB + 7)))
  await site.shared.close()

  await loseRest()
  const paths: string[] = []
  await site.shared.run('ls', { ref, offline: true, onEvent: ({ path }) => void paths.push(path) })
  assert.deepEqual(paths, ['a', 'a', 'c'])
})

test('a file that the holder had finished is the result, unless it was changed', async (t) => {
  const site = await makeSite(t)
  const path = join(site.folder, 'hello')
  const output = join(site.folder, 'output')
  const target = { kind: 'path', path: output } as const
  await writeFile(path, 'hello world')
  const node = await openNode({ ...site.options, role: 'client' })
  await node.add([{ path }])
  await node.get(HELLO_CID, { target, offline: true })
  await node.close()
  const { ino } = await stat(output)
  // Its answer was lost.
  const loseAnswer = () =>
    serveUntilEnd(t, site, (end) => ({
      get: async (_ref, { signal }) => {
        end()
        return await untilAborted(signal)
      },
    }))
  for (const force of [false, true]) {
    await loseAnswer()
    const result = await site.shared.get(HELLO_CID, { target, force, offline: true })
    assert.deepEqual([result.path, result.stats.bytes, (await stat(output)).ino], [output, 11, ino])
    await site.shared.close()
  }
  await loseAnswer()
  await writeFile(output, 'of somebody else')
  await assert.rejects(site.shared.get(HELLO_CID, { target, offline: true }), { code: 'target-exists' })
  await assert.rejects(site.shared.get(HELLO_CID, { target, offline: true }), { code: 'target-exists' })
})

test('a repo that is held by one who does not listen is waited for, but not for ever', async (t) => {
  const site = await makeSite(t, 1500)
  const path = join(site.folder, 'hello')
  await writeFile(path, 'hello world')
  const holder = await openNode({ ...site.options, role: 'client' })
  const notes: string[] = []
  const adding = site.shared.add([{ path }], {
    onProgress: (event) => {
      if (event.type === 'note') notes.push(event.message)
    },
  })
  await assert.rejects(adding, { code: 'repo-held', message: /is held by `p2p test` \(pid \d+\)/ })
  assert.match(notes.join('\n'), /^The repo .* is held by `p2p test` \(pid \d+\); waiting up to 1\.5 s$/)
  await holder.close()
  const { roots } = await site.shared.add([{ path }])
  assert.equal(roots[0]?.cid, HELLO_CID)
})
