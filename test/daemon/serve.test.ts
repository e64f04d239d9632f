import '../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { runServe, type ServeEvent } from '../../src/daemon/serve.ts'
import { resolveLocation } from '../../src/repo/location.ts'
import { SharedApi } from '../../src/rpc/shared-api.ts'
import { makeTempDir } from '../support/temp.ts'

async function makeOptions(t: TestContext) {
  const folder = await makeTempDir(t)
  return {
    location: resolveLocation({ repo: join(folder, 'repo'), env: {}, home: folder, cwd: folder }),
    command: 'p2p serve',
    holdTimeoutMs: 1000,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: [],
    places: { userId: process.getuid?.(), runtimeDir: undefined, tempDir: folder },
  }
}

test('serves until the signal, and that is a normal end', async (t) => {
  const stop = new AbortController()
  const events: ServeEvent[] = []
  await runServe(await makeOptions(t), {
    signal: stop.signal,
    onEvent: (event) => {
      events.push(event)
      if (event.type === 'ready') stop.abort()
    },
  })
  const [ready, ...rest] = events
  assert.ok(ready?.type === 'ready')
  assert.match(ready.multiaddrs[0] ?? '', new RegExp(`^/ip4/127\\.0\\.0\\.1/tcp/\\d+/p2p/${ready.peerId}$`))
  assert.deepEqual(rest, [{ type: 'stopping' }])
})

test('a signal that comes before it is ready is a normal end too', async (t) => {
  const options = await makeOptions(t)
  const events: ServeEvent[] = []
  await runServe(options, { signal: AbortSignal.abort(new Error('ended')), onEvent: (event) => events.push(event) })
  assert.ok(events.every(({ type }) => type === 'stopping'))
})

test('a repo that another server holds is an error', async (t) => {
  const options = { ...(await makeOptions(t)), holdTimeoutMs: 1 }
  const stop = new AbortController()
  let second: Promise<void> | undefined
  await runServe(options, {
    signal: stop.signal,
    onEvent: ({ type }) => {
      if (type !== 'ready') return
      second = runServe(options, { signal: stop.signal, onEvent: () => {} })
      const end = () => stop.abort()
      second.then(end, end)
    },
  })
  assert.ok(second !== undefined)
  await assert.rejects(second, { code: 'repo-held' })
})

test('a caller on its socket ends it, which is a normal end too', async (t) => {
  const options = await makeOptions(t)
  let stopped: Promise<unknown> | undefined
  await runServe(options, {
    signal: new AbortController().signal,
    onEvent: ({ type }) => {
      if (type === 'ready') stopped = new SharedApi(options).run('stop', {})
    },
  })
  assert.deepEqual(await stopped, { command: 'p2p serve', pid: process.pid })
})
