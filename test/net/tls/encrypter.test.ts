/** The encrypter over real TCP, against Node's own TLS, hostile or not, and against the one of libp2p. */

import '../../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { describe, type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type {
  ComponentLogger,
  Logger,
  MessageStream,
  MultiaddrConnection,
  PrivateKey,
  SecuredConnection,
  Upgrader,
} from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { tls as libp2pTls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { MiB } from '../../../src/common/units.ts'
import { createHost } from '../../../src/net/host.ts'
import { makeCertificate } from '../../../src/net/tls/certificate.ts'
import { tls } from '../../../src/net/tls/encrypter.ts'
import { randomBytes } from '../../support/bytes.ts'
import { cleanUpAfter } from '../../support/clean-up.ts'
import { until } from '../../support/until.ts'
import { buildCertificate, ecKeys } from './certificates.ts'

/** A test that takes as long as this hangs. */
const TIME_LIMIT = { timeout: 60_000 }

const LISTEN = multiaddr('/ip4/127.0.0.1/tcp/0')

const logger = { forComponent: () => silentLogger() } as unknown as ComponentLogger

function silentLogger(): Logger {
  return Object.assign(() => {}, {
    error() {},
    trace() {},
    newScope: silentLogger,
    enabled: false,
  }) as unknown as Logger
}

interface Incoming {
  transport: MultiaddrConnection
  /** Starts the handshake as a server. */
  secure(options?: { signal?: AbortSignal }): Promise<SecuredConnection>
}

/** A listener of libp2p's TCP transport that leaves it to the test when to encrypt. */
async function startServer(t: TestContext) {
  const upgrader = {
    getStreamMuxers: () => new Map([['/yamux/1.0.0', yamux()()]]),
    async upgradeInbound(transport: MultiaddrConnection) {
      arrive({ transport, secure: (options) => encrypter.secureInbound(transport, options) })
    },
  } as unknown as Upgrader
  const encrypter = tls()({ privateKey: await generateKeyPair('Ed25519'), upgrader })
  const waiting: ((incoming: Incoming) => void)[] = []
  const arrived: Incoming[] = []
  const arrive = (incoming: Incoming) => {
    const taker = waiting.shift()
    if (taker === undefined) arrived.push(incoming)
    else taker(incoming)
  }
  const listener = tcp()({ logger }).createListener({ upgrader })
  await listener.listen(LISTEN)
  cleanUpAfter(t, () => listener.close())
  const port = Number(/tcp\/(\d+)/.exec(listener.getAddrs()[0]!.toString())![1])
  const next = async (): Promise<Incoming> =>
    arrived.shift() ?? (await new Promise<Incoming>((resolve) => waiting.push(resolve)))
  return { port, next }
}

type Server = Awaited<ReturnType<typeof startServer>>

async function clientOptions(hostKey?: PrivateKey): Promise<ConnectionOptions> {
  const { cert, key } = await makeCertificate(hostKey ?? (await generateKeyPair('Ed25519')))
  return { cert, key, rejectUnauthorized: false, ALPNProtocols: ['libp2p'], minVersion: 'TLSv1.3' }
}

function connectTls(t: TestContext, server: Server, options: ConnectionOptions): TLSSocket {
  const socket = connect({ host: '127.0.0.1', port: server.port, ...options })
  // What the server refuses ends in errors here.
  socket.on('error', () => {})
  cleanUpAfter(t, () => {
    socket.destroy()
  })
  return socket
}

/** A client and the server's end of its connection. */
async function connectedPair(t: TestContext) {
  const server = await startServer(t)
  const client = connectTls(t, server, await clientOptions())
  const { transport, secure } = await server.next()
  const { connection } = await secure()
  return { client, transport, connection }
}

/** Resolves with everything once so many bytes have come. */
function receive(connection: MessageStream, byteCount: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = []
    let received = 0
    connection.addEventListener('message', ({ data }) => {
      chunks.push(data.subarray())
      received += data.byteLength
      if (received >= byteCount) resolve(Buffer.concat(chunks))
    })
  })
}

async function untilClosed(socket: Socket): Promise<void> {
  // Not `once()`, which rejects at the errors that come before.
  if (!socket.closed) await new Promise<void>((resolve) => socket.once('close', () => resolve()))
}

async function readAll(socket: TLSSocket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(socket, 'end')
  return Buffer.concat(chunks)
}

const PROTOCOL = '/test/echo/1.0.0'

async function startLibraryNode(t: TestContext, listen: string[]) {
  const node = await createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [libp2pTls()],
    streamMuxers: [yamux()],
  })
  cleanUpAfter(t, () => node.stop())
  return node
}

async function startOurNode(t: TestContext, listen: string[]) {
  const host = await createHost({ privateKey: await generateKeyPair('Ed25519'), listen, services: {} })
  cleanUpAfter(t, () => host.stop())
  await host.start()
  return host.libp2p
}

const makers = { p2p: startOurNode, '@libp2p/tls': startLibraryNode }
for (const [from, to] of [
  ['p2p', '@libp2p/tls'],
  ['@libp2p/tls', 'p2p'],
] as const) {
  test(`${from} dials ${to}, and data goes both ways`, TIME_LIMIT, async (t) => {
    const server = await makers[to](t, [LISTEN.toString()])
    await server.handle(PROTOCOL, (stream) => {
      stream.addEventListener('message', ({ data }) => stream.send(data))
    })
    const client = await makers[from](t, [])
    const connection = await client.dial(server.getMultiaddrs())
    assert.equal(connection.encryption, '/tls/1.0.0')
    assert.ok(connection.remotePeer.equals(server.peerId))
    const stream = await connection.newStream(PROTOCOL)
    const sent = randomBytes('tls', 4 * MiB)
    const echoed = receive(stream, sent.length)
    stream.send(sent)
    assert.ok((await echoed).equals(sent))
    const gone = once(server, 'peer:disconnect')
    await connection.close()
    await gone
  })
}

test('bytes that came before the handshake began are part of it', TIME_LIMIT, async (t) => {
  const server = await startServer(t)
  const hostKey = await generateKeyPair('Ed25519')
  const client = connectTls(t, server, await clientOptions(hostKey))
  client.write('hello')
  const { transport, secure } = await server.next()
  await until(t, () => transport.readBufferLength > 0)
  const { remotePeer, connection, streamMuxer } = await secure()
  assert.equal(remotePeer.toString(), hostKey.publicKey.toString())
  assert.equal(streamMuxer, undefined)
  assert.equal((await receive(connection, 5)).toString(), 'hello')
})

test('the muxer that both sides know is chosen in the handshake', TIME_LIMIT, async (t) => {
  const server = await startServer(t)
  const options = await clientOptions()
  connectTls(t, server, { ...options, ALPNProtocols: ['/other/1.0.0', '/yamux/1.0.0', 'libp2p'] })
  const { streamMuxer } = await (await server.next()).secure()
  assert.equal(streamMuxer?.protocol, '/yamux/1.0.0')
})

describe('a handshake is refused', () => {
  const cases: [what: string, options: () => Promise<ConnectionOptions>][] = [
    ['without a certificate', async () => ({ rejectUnauthorized: false, ALPNProtocols: ['libp2p'] })],
    [
      'with two certificates',
      async () => {
        const options = await clientOptions()
        return { ...options, cert: `${options.cert}${(await clientOptions()).cert}` }
      },
    ],
    [
      'with a certificate that has expired',
      async () => {
        const keys = ecKeys()
        const certificate = Buffer.from(await buildCertificate({ keys, notAfter: '20200101000000Z' }))
        const cert = `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`
        return { ...(await clientOptions()), cert, key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }) }
      },
    ],
    ['below TLS 1.3', async () => ({ ...(await clientOptions()), minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })],
    ['without a muxer that is known', async () => ({ ...(await clientOptions()), ALPNProtocols: ['/other/1.0.0'] })],
  ]
  for (const [what, options] of cases) {
    test(what, TIME_LIMIT, async (t) => {
      const server = await startServer(t)
      const refused = connectTls(t, server, await options())
      const { transport, secure } = await server.next()
      await assert.rejects(secure())
      assert.equal(transport.status, 'aborted')
      await untilClosed(refused)
      // Others are let in as before.
      connectTls(t, server, await clientOptions())
      await (await server.next()).secure()
    })
  }

  test('when it is none', TIME_LIMIT, async (t) => {
    const server = await startServer(t)
    const socket = connectTcp(server.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'))
    socket.on('error', () => {})
    const { transport, secure } = await server.next()
    await assert.rejects(secure())
    assert.equal(transport.status, 'aborted')
  })

  test('when the peer leaves', TIME_LIMIT, async (t) => {
    const server = await startServer(t)
    const socket = connectTcp(server.port, '127.0.0.1')
    const { secure } = await server.next()
    const refused = assert.rejects(secure())
    socket.end()
    await refused
  })

  test('when its signal ends it, with the reason', TIME_LIMIT, async (t) => {
    const server = await startServer(t)
    // From then on the server has its certificate, and a handshake begins at once.
    connectTls(t, server, await clientOptions())
    await (await server.next()).secure()

    const silent = connectTcp(server.port, '127.0.0.1')
    silent.on('error', () => {})
    const { transport, secure } = await server.next()
    const controller = new AbortController()
    const reason = new Error('it took too long')
    const refused = assert.rejects(secure({ signal: controller.signal }), reason)
    await setImmediate()
    controller.abort(reason)
    await refused
    assert.equal(transport.status, 'aborted')
    await untilClosed(silent)
  })
})

describe('an encrypted connection', () => {
  test('sends until its peer stops reading, and goes on when it reads', TIME_LIMIT, async (t) => {
    const { client, connection } = await connectedPair(t)
    const chunk = randomBytes('back-pressure', MiB)
    const sent: Buffer[] = []
    do sent.push(chunk)
    while (connection.send(chunk))
    // One more waits in the connection itself.
    sent.push(chunk)
    assert.equal(connection.send(chunk), false)
    const drained = once(connection, 'drain')
    const received = readAll(client)
    await drained
    await connection.close()
    assert.ok((await received).equals(Buffer.concat(sent)))
  })

  test('hands out nothing while it is paused', TIME_LIMIT, async (t) => {
    const { client, connection } = await connectedPair(t)
    connection.pause()
    let taken = 0
    connection.addEventListener('message', ({ data }) => {
      taken += data.byteLength
    })
    let flushed = false
    client.write(Buffer.alloc(64 * MiB), () => {
      flushed = true
    })
    await until(t, () => client.bytesWritten > MiB)
    assert.equal(taken, 0)
    assert.equal(flushed, false)
    connection.resume()
    await until(t, () => taken === 64 * MiB)
  })

  test('ends when its peer ends it', TIME_LIMIT, async (t) => {
    const { client, transport, connection } = await connectedPair(t)
    const closed = once(connection, 'close')
    connection.addEventListener('message', () => {})
    client.end('bye')
    await closed
    assert.equal(connection.status, 'closed')
    assert.equal(transport.status, 'closed')
    assert.throws(() => connection.send(Buffer.from('late')), { name: 'StreamStateError' })
  })

  test('ends when its peer resets it', TIME_LIMIT, async (t) => {
    const server = await startServer(t)
    const raw = connectTcp(server.port, '127.0.0.1')
    raw.on('error', () => {})
    connectTls(t, server, { ...(await clientOptions()), socket: raw })
    const { transport, secure } = await server.next()
    const { connection } = await secure()
    const closed = once(connection, 'close')
    raw.resetAndDestroy()
    await closed
    assert.equal(connection.status, 'aborted')
    assert.equal(transport.status, 'aborted')
  })

  test('ends when its bytes are changed on the way', TIME_LIMIT, async (t) => {
    const server = await startServer(t)
    const raw = connectTcp(server.port, '127.0.0.1')
    raw.on('error', () => {})
    const client = connectTls(t, server, { ...(await clientOptions()), socket: raw })
    const established = once(client, 'secureConnect')
    const { secure } = await server.next()
    const { connection } = await secure()
    await established
    const closed = once(connection, 'close')
    raw.write(Buffer.from('1703030020'.padEnd(74, '0'), 'hex'))
    await closed
    assert.equal(connection.status, 'aborted')
  })

  test('that is aborted ends for its peer at once', TIME_LIMIT, async (t) => {
    const { client, transport, connection } = await connectedPair(t)
    const gone = untilClosed(client)
    connection.send(Buffer.alloc(16 * MiB))
    connection.abort(new Error('enough'))
    assert.equal(transport.status, 'aborted')
    client.resume()
    await gone
  })

  test('ends with the TCP connection under it', TIME_LIMIT, async (t) => {
    const { client, transport, connection } = await connectedPair(t)
    client.resume()
    const gone = untilClosed(client)
    const closed = once(connection, 'close')
    await transport.close()
    await closed
    assert.equal(connection.status, 'closed')
    await gone
  })
})
