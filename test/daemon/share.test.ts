import '../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { runShare, type ShareEvent } from '../../src/daemon/share.ts'
import { openNode } from '../../src/node/open.ts'
import { resolveLocation } from '../../src/repo/location.ts'
import { serveApi } from '../../src/rpc/server.ts'
import { SharedApi } from '../../src/rpc/shared-api.ts'
import { makeTempDir } from '../support/temp.ts'

async function makeSite(t: TestContext) {
  const folder = await makeTempDir(t)
  const path = join(folder, 'hello')
  await writeFile(path, 'hello world')
  const options = {
    location: resolveLocation({ repo: join(folder, 'repo'), env: {}, home: folder, cwd: folder }),
    command: 'p2p share',
    holdTimeoutMs: 10_000,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap: [],
  }
  return { path, options, places: { userId: process.getuid?.(), runtimeDir: undefined, tempDir: folder } }
}

test('it goes on alone when a holder ends that does not serve', async (t) => {
  const { path, options, places } = await makeSite(t)
  const holder = await openNode({ ...options, command: 'p2p get', listen: [], role: 'client' })
  const socket = await serveApi(holder, { dataDir: options.location.dataDir, places })
  const events: ShareEvent[] = []
  const onEvent = (event: ShareEvent): void => {
    events.push(event)
    if (event.type !== 'serving') return
    if (event.from.serves) stop.abort()
    else void socket.close().then(() => holder.close())
  }
  const stop = new AbortController()
  await runShare({ ...options, places }, [{ path }], {}, { signal: stop.signal, onEvent })
  const told = events.filter(({ type }) => type !== 'announced')
  assert.deepEqual(
    told.map(({ type }) => type),
    ['added', 'serving', 'serving', 'stopping'],
  )
  const [, first, second] = told
  assert.ok(first?.type === 'serving' && second?.type === 'serving')
  assert.deepEqual([first.from.serves, first.from.multiaddrs, first.from.holder.command], [false, [], 'p2p get'])
  assert.deepEqual([second.from.serves, second.from.multiaddrs.length], [true, 1])
  assert.equal(second.from.holder.command, 'p2p share')
})

test('what ends it before anything is added is no normal end', async (t) => {
  const { path, options, places } = await makeSite(t)
  const reason = new Error('ended by the user')
  const io = { signal: AbortSignal.abort(reason), onEvent: () => {} }
  await assert.rejects(runShare({ ...options, places }, [{ path }], {}, io), (error) => error === reason)
  const missing = runShare(
    { ...options, places },
    [{ path: `${path}-missing` }],
    {},
    {
      signal: new AbortController().signal,
      onEvent: () => {},
    },
  )
  await assert.rejects(missing, { code: 'not-found' })
})

test('a caller on its socket that ends it before everything is added is no defect', async (t) => {
  const { options, places } = await makeSite(t)
  const content = (async function* () {
    yield Buffer.from('the first part')
    await new SharedApi({ ...options, places }).run('stop', {})
    yield Buffer.from('the rest')
  })()
  const io = { signal: new AbortController().signal, onEvent: () => {} }
  const sharing = runShare({ ...options, places }, [{ name: 'hello', content }], {}, io)
  await assert.rejects(sharing, { code: 'aborted', message: 'Ended by "p2p stop"' })
})
