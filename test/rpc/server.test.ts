/** The holder's end of the socket against callers that do not behave. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect, createServer as createNetServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { KiB, MiB } from '../../src/common/units.ts'
import type { AddSource, Api, GetOptions } from '../../src/node/api.ts'
import type { NetworkSettings } from '../../src/node/network-settings.ts'
import type { Channels } from '../../src/rpc/channels.ts'
import { HolderGone, RemoteApi } from '../../src/rpc/client.ts'
import type { NetworkWishes } from '../../src/rpc/network-wishes.ts'
import { type ApiServer, serveApi } from '../../src/rpc/server.ts'
import type { SocketPlaces } from '../../src/rpc/socket.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'

const ADD_RESULT = { roots: [], failures: [], skippedHidden: 0, servedAt: [] }
const GET_RESULT = {
  cid: 'c',
  path: null,
  skipped: [],
  skippedCount: 0,
  stats: { bytes: 0, receivedBytes: 0, duplicateBytes: 0, blocks: 0, seconds: 0, peers: [] },
}

/** Of a holder that does what a command is told by nobody. */
const NETWORK: NetworkSettings = {
  listen: ['/ip4/127.0.0.1/tcp/0'],
  seed: true,
  bootstrap: ['/dns4/a/tcp/1/p2p/x'],
  defaultBootstrap: ['/dns4/a/tcp/1/p2p/x'],
  limits: { up: null, down: null, lan: false },
}

const SERVED = {
  add: async () => ADD_RESULT,
  get: async () => GET_RESULT,
  run: () => new Promise<never>(() => {}),
  close: async () => {},
  network: NETWORK,
}

const userId = process.getuid?.()
const asOther = { skip: userId === undefined ? 'there are no user ids here' : false }

function placesIn(folder: string): SocketPlaces {
  return { userId, runtimeDir: undefined, tempDir: folder }
}

interface Served {
  socketPath: string
  server: ApiServer
  api: RemoteApi
}

/** Serves what a test makes of the operations. */
async function serve(t: TestContext, operations: Partial<Api>, network = NETWORK): Promise<Served> {
  const folder = await makeTempDir(t)
  const server = await serveApi({ ...SERVED, network, ...operations }, { dataDir: folder, places: placesIn(folder) })
  cleanUpAfter(t, () => server.close())
  const socketPath = join(folder, 'api.sock')
  return { socketPath, server, api: remote(socketPath) }
}

function remote(socketPath: string, options: { answerTimeoutMs?: number; network?: NetworkWishes } = {}): RemoteApi {
  return new RemoteApi({
    socketPath,
    answerTimeoutMs: 10_000,
    describeHolder: async () => '`p2p test`',
    network: {},
    ...options,
  })
}

interface Sent {
  path?: string
  method?: string
  body?: string
}

async function send(socketPath: string, { path = '/v1/add', method = 'POST', body }: Sent) {
  const request = httpRequest({ socketPath, path, method, agent: false })
  request.end(body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  const lines = (await text(response)).split('\n').filter((line) => line !== '')
  const events = lines.map((line) => JSON.parse(line) as { type: string; code?: string; message?: string })
  return { status: response.statusCode, events, last: events.at(-1) }
}

test('a call that is none is answered with what is wrong, and the next one works', async (t) => {
  const { socketPath } = await serve(t, {})
  const rows: [Sent, number, string, RegExp][] = [
    [{ path: '/' }, 404, 'usage', /nothing at/],
    [{ path: '/v1/format-disk', body: '{}' }, 404, 'repo-held', /does not know "format-disk"/],
    [{ path: '/v1/__proto__', body: '{}' }, 404, 'usage', /nothing at/],
    [{ path: '/v2/add', body: '{}' }, 404, 'repo-held', /version 1 of its protocol, not 2/],
    [{ method: 'GET' }, 405, 'usage', /POST/],
    [{ body: '' }, 400, 'usage', /no call/],
    [{ body: 'not JSON' }, 400, 'usage', /not JSON/],
    [{ body: '[]' }, 400, 'usage', /not a JSON object/],
    [{ body: '{}' }, 200, 'usage', /"sources"/],
    [{ body: '{"sources":[{"path":"relative"}]}' }, 200, 'usage', /"sources"/],
    [{ body: '{"sources":[null]}' }, 200, 'usage', /"sources"/],
    [{ body: '{"sources":[{"path":"/a\\u0000b"}]}' }, 200, 'usage', /"sources"/],
    [{ body: '{"sources":[{"stream":"-"},{"stream":"-"}]}' }, 200, 'usage', /"sources"/],
    [{ body: '{"sources":[],"options":{"pin":"yes"}}' }, 200, 'usage', /"options.pin"/],
    [{ body: '{"sources":[],"options":{"unknown":true}}' }, 200, 'usage', /"options.unknown"/],
    [{ body: '{"sources":[],"options":{"toString":true}}' }, 200, 'usage', /"options.toString"/],
    [{ path: '/v1/id', body: '{"options":{"unknown":1}}' }, 200, 'usage', /"options.unknown"/],
    [{ path: '/v1/get', body: '{"ref":1}' }, 200, 'usage', /"ref"/],
    [{ path: '/v1/get', body: '{"ref":"x"}' }, 200, 'usage', /"target"/],
    [{ path: '/v1/get', body: '{"ref":"x","target":{"folder":"x"}}' }, 200, 'usage', /"target"/],
    [{ path: '/v1/get', body: '{"ref":"x","target":{"stream":{"offset":-1}}}' }, 200, 'usage', /"target"/],
    [
      { path: '/v1/get', body: '{"ref":"x","target":{"stream":{}},"network":{"bootstrap":[1]}}' },
      200,
      'usage',
      /"network.bootstrap"/,
    ],
    [{ path: '/v1/get', body: '{"ref":"x","target":{"stream":{}},"network":{"x":1}}' }, 200, 'usage', /"network.x"/],
  ]
  for (const [sent, status, code, message] of rows) {
    const answer = await send(socketPath, sent)
    assert.deepEqual(
      { status: answer.status, type: answer.last?.type, code: answer.last?.code },
      { status, type: 'error', code },
      JSON.stringify(sent),
    )
    assert.match(answer.last?.message ?? '', message)
  }
  assert.equal((await send(socketPath, { body: '{"sources":[]}' })).last?.type, 'result')
})

test('garbage, half a request and callers that vanish leave the others alone', async (t) => {
  const { socketPath } = await serve(t, {})
  const half = 'POST /v1/add HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"sources"'
  for (const bytes of ['\0\xff\xfe garbage\r\n\r\n', 'POST /v1/add HTT', half]) {
    const socket = connect(socketPath)
    socket.on('error', () => {})
    socket.write(bytes, 'latin1')
    await new Promise((resolve) => socket.once('connect', resolve))
    socket.destroy()
  }
  const kept = connect(socketPath)
  kept.write(half)
  assert.equal((await send(socketPath, { body: '{"sources":[]}' })).last?.type, 'result')
  kept.destroy()
})

/** Sends so many bytes of a call that does not end. @returns how many were taken, and the answer */
async function sendLong(
  socketPath: string,
  path: string,
  byteCount: number,
): Promise<{ taken: number; answer: string }> {
  const socket = connect(socketPath)
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => {})
  let answer = ''
  socket.setEncoding('latin1').on('data', (part) => {
    answer += part
  })
  socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${100 * MiB}\r\n\r\n`)
  let taken = 0
  for (const piece = Buffer.alloc(64 * KiB, '['); taken < byteCount && !socket.destroyed; taken += piece.byteLength) {
    await new Promise((resolve) => socket.write(piece, resolve))
  }
  await closed
  return { taken, answer }
}

test('100 MiB of JSON are refused before they have come', async (t) => {
  const { socketPath } = await serve(t, {})
  for (const [path, limit] of [
    ['/v1/get', MiB],
    ['/v1/add', 16 * MiB],
  ] as const) {
    const { answer } = await sendLong(socketPath, path, limit + 64 * KiB)
    assert.match(answer, /^HTTP\/1\.1 413 /)
    const { taken } = await sendLong(socketPath, path, 100 * MiB)
    assert.ok(taken < limit + 2 * MiB, `${taken} bytes were taken`)
  }
})

test('a caller that goes away ends its operation, and no other', async (t) => {
  const running = new Map<string, AbortSignal>()
  const { api } = await serve(t, {
    get: async (ref, { signal }) => {
      if (signal !== undefined) running.set(ref, signal)
      return await new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    },
  })
  const target = { kind: 'path', path: '/x' } as const
  const [leaving, staying] = [new AbortController(), new AbortController()]
  const left = api.get('a', { target, signal: leaving.signal })
  const stayed = api.get('b', { target, signal: staying.signal })
  await until(t, () => running.size === 2)
  leaving.abort(new Error('Ctrl-C'))
  await assert.rejects(left, /Ctrl-C/)
  await until(t, () => running.get('a')?.aborted === true)
  assert.equal(running.get('b')?.aborted, false)
  staying.abort(new Error('over'))
  await assert.rejects(stayed, /over/)
})

/** Until the buffers between the two are full. */
async function untilAtRest(t: TestContext, count: () => number): Promise<void> {
  let before = -1
  await until(t, async () => {
    if (count() === before) return true
    before = count()
    await new Promise((resolve) => setTimeout(resolve, 200))
    return false
  })
}

test('a caller that stops reading holds up nothing, and costs no memory', async (t) => {
  const events = 200_000
  let finished = false
  const { socketPath } = await serve(t, {
    get: async (_ref, { onProgress }) => {
      for (let count = 0; count < events; count++) {
        onProgress?.({ type: 'note', message: `note ${count}` })
        onProgress?.({
          type: 'add-progress',
          bytes: count,
          totalBytes: null,
          totalFiles: null,
          bytesPerSecond: 0,
          etaSeconds: null,
          files: 0,
        })
        if (count % 1000 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      finished = true
      return GET_RESULT
    },
  })
  const request = httpRequest({ socketPath, path: '/v1/get', method: 'POST', agent: false })
  request.end('{"ref":"x","target":{"path":"/x"}}')
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  await until(t, () => finished)
  const lines = (await text(response)).trimEnd().split('\n')
  // What fits into the buffers of the system, and then the newest.
  assert.ok(lines.length < 20_000, `${lines.length} lines had been kept`)
  const [progress, result] = lines.slice(-2).map((line) => JSON.parse(line))
  assert.deepEqual({ type: progress.type, bytes: progress.bytes }, { type: 'add-progress', bytes: events - 1 })
  assert.equal(result.type, 'result')
})

test('parts of a result wait for a caller that does not read, and end when it goes', async (t) => {
  let told = 0
  let ended = false
  const { socketPath } = await serve(t, {
    run: async (_name, { onEvent, signal }: Channels) => {
      while (signal?.aborted === false) {
        await onEvent?.({ name: 'x'.repeat(KiB), count: told })
        told++
      }
      ended = true
      throw signal?.reason
    },
  })
  const request = httpRequest({ socketPath, path: '/v1/id', method: 'POST', agent: false })
  request.on('error', () => {})
  request.end('{}')
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  await untilAtRest(t, () => told)
  assert.ok(told < 8 * KiB, `${told} KiB were taken`)
  response.destroy()
  await until(t, () => ended)
})

test('content waits for a caller that does not read', async (t) => {
  let written = 0
  const { socketPath } = await serve(t, {
    get: async (_ref, { target, signal }) => {
      const { write } = target as Extract<GetOptions['target'], { kind: 'stream' }>
      while (signal?.aborted === false) {
        await write(Buffer.alloc(MiB))
        written++
      }
      return GET_RESULT
    },
  })
  const request = httpRequest({ socketPath, path: '/v1/get', method: 'POST', agent: false })
  request.on('error', () => {})
  request.end('{"ref":"x","target":{"stream":{"offset":0}}}')
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  await untilAtRest(t, () => written)
  assert.ok(written < 8, `${written} MiB were taken`)
  response.destroy()
})

test('a stream that its operation does not read does not cost the caller its answer', async (t) => {
  const { api } = await serve(t, {})
  async function* large() {
    for (let count = 0; count < 64; count++) yield Buffer.alloc(MiB)
  }
  assert.deepEqual(await api.add([{ name: '-', content: large() }]), ADD_RESULT)
})

test('a stream that the caller does not finish is no shorter stream', async (t) => {
  let outcome: Promise<unknown> | undefined
  const { socketPath } = await serve(t, {
    add: async (sources) => {
      const [source] = sources as Extract<AddSource, { name: string }>[]
      outcome = text(source!.content)
      await outcome
      return ADD_RESULT
    },
  })
  const request = httpRequest({ socketPath, path: '/v1/add', method: 'POST', agent: false })
  request.on('error', () => {})
  request.write('{"sources":[{"stream":"-"}]}\n{"type":"content","bytes":10}\nabc')
  await until(t, () => outcome !== undefined)
  request.destroy()
  await assert.rejects(outcome!)
})

test('a holder that ends lets short calls finish and hands the others over', async (t) => {
  let started = 0
  const { api, server } = await serve(t, {
    add: async () => {
      started++
      await new Promise((resolve) => setTimeout(resolve, 1))
      return ADD_RESULT
    },
    get: async (_ref, { signal }) => {
      started++
      return await new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    },
  })
  const long = api.get('x', { target: { kind: 'path', path: '/x' } })
  const short = api.add([])
  await until(t, () => started === 2)
  await Promise.all([
    assert.rejects(long, (error) => error instanceof HolderGone && error.hadAnswered),
    server.close(),
    short,
  ])
  assert.deepEqual(await short, ADD_RESULT)
  await assert.rejects(api.add([]), (error) => error instanceof HolderGone && !error.hadAnswered)
})

test('a request that comes after the others were handed over is handed over too', async (t) => {
  let finish = () => {}
  const ending = new Promise<void>((resolve) => {
    finish = resolve
  })
  let cancelled = false
  let added = false
  const { api, socketPath, server } = await serve(t, {
    add: async () => {
      added = true
      return ADD_RESULT
    },
    get: async (_ref, { signal }) => {
      signal?.addEventListener('abort', () => {
        cancelled = true
      })
      await ending
      signal?.throwIfAborted()
      return GET_RESULT
    },
  })
  const slow = api.get('x', { target: { kind: 'path', path: '/x' } })
  const late = connect(socketPath)
  const body = '{"sources":[]}'
  late.write(`POST /v1/add HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n`)
  await once(late, 'connect')
  // The next connection has been accepted, and so has the one before.
  await api.add([])
  added = false
  const closed = server.close()
  await until(t, () => cancelled)
  late.write(`\r\n${body}`)
  const [answer] = (await once(late.setEncoding('utf8'), 'data')) as [string]
  finish()
  const rest = await text(late)
  assert.match(answer + rest, /^HTTP\/1\.1 200 [\s\S]*"type":"handover"/)
  assert.equal(added, false)
  await assert.rejects(slow, HolderGone)
  await closed
})

test('a holder that cannot make a socket goes on without, and says so', async (t) => {
  const folder = await makeTempDir(t)
  await mkdir(join(folder, 'api.sock'))
  const warnings: string[] = []
  const server = await serveApi(SERVED, {
    dataDir: folder,
    places: placesIn(folder),
    onProgress: (event) => {
      if (event.type === 'warning') warnings.push(event.message)
    },
  })
  await server.close()
  assert.match(warnings.join(), /^Other commands on this repo have to wait for this one: Cannot make the socket/)
})

test('a holder does not go around a socket of another user', asOther, async (t) => {
  const folder = await makeTempDir(t)
  await writeFile(join(folder, 'api.sock'), '')
  const places = { ...placesIn(folder), userId: (userId ?? 0) + 1 }
  await assert.rejects(serveApi(SERVED, { dataDir: folder, places }), {
    code: 'io',
    message: /belongs to another user/,
  })
})

test('a holder that does not answer is named when the time is up', async (t) => {
  const folder = await makeTempDir(t)
  const socketPath = join(folder, 's')
  const silent = createNetServer(() => {}).listen(socketPath)
  await once(silent, 'listening')
  const api = remote(socketPath, { answerTimeoutMs: 50 })
  const notes: string[] = []
  const adding = api.add([], {
    onProgress: (event) => {
      if (event.type === 'note') notes.push(event.message)
    },
  })
  await assert.rejects(adding, { code: 'repo-held', message: /held by `p2p test`, which has not answered/ })
  assert.match(notes.join(), /held by `p2p test`; waiting/)
  silent.close()
})

test('what is not a holder of ours is no reason to wait', async (t) => {
  const folder = await makeTempDir(t)
  const socketPath = join(folder, 's')
  const other = createHttpServer((_request, response) => response.writeHead(503).end()).listen(socketPath)
  await once(other, 'listening')
  await assert.rejects(remote(socketPath).add([]), { code: 'repo-held', message: /503/ })
  other.close()
})

test('a call that is too long is not sent', async (t) => {
  const { api } = await serve(t, {})
  const sources = Array.from({ length: 20_000 }, (_, count) => ({ path: `/${'x'.repeat(1000)}${count}` }))
  await assert.rejects(api.add(sources), { code: 'limit' })
})

/** What a caller is told that asks for this of a holder that does something else. */
async function warningsFor(
  t: TestContext,
  wishes: NetworkWishes,
  held: Partial<NetworkSettings> = {},
  options: Partial<GetOptions> = {},
): Promise<string> {
  const { socketPath } = await serve(t, {}, { ...NETWORK, ...held })
  const warnings: string[] = []
  await remote(socketPath, { network: wishes }).get('x', {
    target: { kind: 'path', path: '/x' },
    onProgress: (event) => {
      if (event.type === 'warning') warnings.push(event.message)
    },
    ...options,
  })
  return warnings.join('\n')
}

test('what the holder does otherwise in the network is told of, and what to do', async (t) => {
  const limited = { limits: { up: 1024, down: null, lan: false } }
  const rows: [NetworkWishes, Partial<NetworkSettings>, RegExp][] = [
    [{ bootstrap: [] }, {}, /bootstrap peers \(\/dns4\/a\/tcp\/1\/p2p\/x\); those given here have no effect/],
    [{}, { bootstrap: [] }, /bootstrap peers \(none\); those of the settings have no effect/],
    [{ seed: true }, { seed: false, listen: [] }, /gives nothing to others/],
    [{ seed: true }, { listen: [] }, /takes no connections/],
    [{ seed: false }, {}, /gives others what they ask for; --no-seed has no effect/],
    [{ limitUp: 2048 }, limited, /has its own limit, 1\.0 KiB\/s; --limit-up has no effect/],
    [{ limitUp: null }, limited, /has its own limit, 1\.0 KiB\/s; --limit-up has no effect/],
    [{ limitDown: 2048 }, limited, /has no such limit; --limit-down has no effect/],
    [{ limitLan: true }, {}, /does not hold peers nearby to its limits; --limit-lan has no effect/],
  ]
  for (const [wishes, held, warning] of rows) {
    const warnings = await warningsFor(t, wishes, held)
    assert.match(warnings, warning)
    assert.match(warnings, /^The command that holds the repo .*\. Give it the same, or run this one after it\.$/)
  }
})

test('a holder that does in the network what its caller was told is no cause for a warning', async (t) => {
  const limits = { up: 1024, down: null, lan: true }
  const rows: [NetworkWishes, Partial<NetworkSettings>][] = [
    [{}, { limits }],
    [{ seed: true, limitUp: null, limitDown: null, limitLan: false }, {}],
    [{ seed: true, limitUp: 1024, limitDown: null, limitLan: true }, { limits }],
    [
      { seed: false, bootstrap: [] },
      { seed: false, listen: [], bootstrap: [] },
    ],
  ]
  for (const [wishes, held] of rows) assert.equal(await warningsFor(t, wishes, held), '')
})

test('a call is told only of what it has a use for', async (t) => {
  assert.equal(await warningsFor(t, { bootstrap: [], seed: false, limitUp: 1 }, {}, { offline: true }), '')
  const target = { kind: 'stream', write: async () => {} } as const
  assert.equal(await warningsFor(t, { seed: true }, { seed: false }, { target }), '')
})

test('an unexpected error of the holder is told as one, with its stack', async (t) => {
  const { api } = await serve(t, {
    add: async () => {
      throw new TypeError('oops', { cause: new Error('deeper') })
    },
  })
  await assert.rejects(api.add([]), (error: Error & { code: string }) => {
    assert.equal(error.code, 'internal')
    assert.equal(error.message, 'Unexpected: oops')
    assert.match((error.cause as Error).stack ?? '', /TypeError: oops\n.*server\.test/)
    assert.match(((error.cause as Error).cause as Error).stack ?? '', /deeper/)
    return true
  })
})
