import '../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { type EventEmitter, on, once } from 'node:events'
import { createServer, type Server, Socket } from 'node:net'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { P2PError } from '../../src/common/errors.ts'
import { createHost, type Host, type HostOptions } from '../../src/net/host.ts'
import { type CleanUpScope, cleanUpAfter } from '../support/clean-up.ts'
import { until } from '../support/until.ts'

/** A test that takes as long as this hangs. */
const TIME_LIMIT = { timeout: 60_000 }

type NoServices = Record<string, never>

async function startHost(scope: CleanUpScope, options: Partial<HostOptions<NoServices>> = {}): Promise<Host> {
  const host = await createHost({
    privateKey: await generateKeyPair('Ed25519'),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    services: {},
    ...options,
  })
  cleanUpAfter(scope, () => host.stop())
  await host.start()
  return host
}

/** A TCP server on a free port of 127.0.0.1, closed with the scope. */
async function startTcpServer(scope: CleanUpScope): Promise<{ server: Server; port: number }> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanUpAfter(scope, () => {
    server.close()
  })
  return { server, port: (server.address() as { port: number }).port }
}

function targetOf(host: Host) {
  return { peerId: host.peerId, multiaddrs: host.multiaddrs() }
}

test('two nodes take TLS, and one that knows only Noise is let in', TIME_LIMIT, async (t) => {
  const server = await startHost(t)
  const client = await startHost(t, { listen: [] })
  await client.connect(targetOf(server))
  const [connection] = client.libp2p.getConnections()
  assert.equal(connection?.encryption, '/tls/1.0.0')
  assert.equal(connection?.multiplexer, '/yamux/1.0.0')

  const noiseOnly = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  })
  cleanUpAfter(t, () => noiseOnly.stop())
  const other = await noiseOnly.dial(server.multiaddrs().map((address) => multiaddr(address)))
  assert.equal(other.encryption, '/noise')
})

test('eight nodes that dial one at the same time all get in', TIME_LIMIT, async (t) => {
  const server = await startHost(t)
  const clients = await Promise.all(Array.from({ length: 8 }, () => startHost(t, { listen: [] })))
  // The server has a connection a moment after the one who dialled it.
  const arrivals = on(server.libp2p as unknown as EventEmitter, 'peer:connect')
  await Promise.all(clients.map((client) => client.connect(targetOf(server))))
  while (server.libp2p.getPeers().length < 8) await arrivals.next()
  assert.equal(server.libp2p.getPeers().length, 8)
})

test('a node that refuses for being busy is dialled again', TIME_LIMIT, async (t) => {
  const server = await startHost(t)
  const [address] = server.multiaddrs()
  const { server: proxy, port } = await startTcpServer(t)
  let refused = 0
  proxy.on('connection', (socket) => {
    socket.on('error', () => {})
    if (refused === 0) {
      refused++
      socket.resetAndDestroy()
      return
    }
    const forward = new Socket().connect(Number(/tcp\/(\d+)/.exec(address!)![1]), '127.0.0.1')
    forward.on('error', () => {})
    socket.pipe(forward).pipe(socket)
  })
  const client = await startHost(t, { listen: [] })
  await client.connect({ peerId: server.peerId, multiaddrs: [`/ip4/127.0.0.1/tcp/${port}`] })
  assert.equal(refused, 1)
  assert.equal(client.libp2p.getPeers().length, 1)
})

test('a peer that cannot be reached is named, with the reason', TIME_LIMIT, async (t) => {
  const { server, port } = await startTcpServer(t)
  server.close()
  const client = await startHost(t, { listen: [] })
  const peer = await startHost(t, { listen: [] })
  await assert.rejects(
    client.connect({ peerId: peer.peerId, multiaddrs: [`/ip4/127.0.0.1/tcp/${port}`] }),
    (error: P2PError) => {
      assert.equal(error.code, 'network')
      assert.match(
        error.message,
        new RegExp(`Cannot connect to ${peer.peerId} at /ip4/127.0.0.1/tcp/${port}: .*ECONNREFUSED`),
      )
      return true
    },
  )
})

test('an address with another peer behind it is refused', TIME_LIMIT, async (t) => {
  const server = await startHost(t)
  const expected = await startHost(t, { listen: [] })
  const client = await startHost(t, { listen: [] })
  const multiaddrs = server.multiaddrs().map((address) => address.replace(/\/p2p\/.*/, ''))
  await assert.rejects(client.connect({ peerId: expected.peerId, multiaddrs }), { code: 'network' })
  assert.equal(client.libp2p.getConnections().length, 0)
})

test('connecting ends with the reason of its signal, or when the node stops', TIME_LIMIT, async (t) => {
  const silent = await startTcpServer(t)
  const sockets: Socket[] = []
  silent.server.on('connection', (socket) => sockets.push(socket))
  cleanUpAfter(t, () => {
    for (const socket of sockets) socket.destroy()
  })
  const peer = await startHost(t, { listen: [] })
  const target = { peerId: peer.peerId, multiaddrs: [`/ip4/127.0.0.1/tcp/${silent.port}`] }

  const client = await startHost(t, { listen: [] })
  const controller = new AbortController()
  const reason = new Error('not wanted any longer')
  const cancelled = client.connect(target, { signal: controller.signal })
  await once(silent.server, 'connection')
  controller.abort(reason)
  await assert.rejects(cancelled, reason)

  const dialled = once(silent.server, 'connection')
  const stopped = assert.rejects(client.connect(target), { code: 'aborted' })
  await dialled
  await client.stop()
  await stopped
})

test('a taken port is replaced by a free one, and both are told', TIME_LIMIT, async (t) => {
  const { port } = await startTcpServer(t)
  const told: string[][] = []
  const host = await startHost(t, {
    listen: [`/ip4/127.0.0.1/tcp/${port}`],
    onPortTaken: (from, to) => told.push([from, to]),
  })
  const [address] = host.multiaddrs()
  assert.equal(host.multiaddrs().length, 1)
  assert.deepEqual(told, [[`/ip4/127.0.0.1/tcp/${port}`, address!.replace(/\/p2p\/.*/, '')]])
  assert.ok(address!.endsWith(`/p2p/${host.peerId}`))
  assert.ok(!address!.includes(`/tcp/${port}/`))
})

test(
  'an address that cannot be listened on is told; having none is an error, unless one can do without',
  TIME_LIMIT,
  async (t) => {
    // Documentation range, on no machine's interface.
    const elsewhere = '/ip4/198.51.100.1/tcp/4001'
    const failed: string[] = []
    const host = await startHost(t, {
      listen: [elsewhere, '/ip4/127.0.0.1/tcp/0'],
      onListenFailed: (address, reason) => failed.push(`${address}: ${reason}`),
    })
    assert.deepEqual(failed, [`${elsewhere}: address not available (EADDRNOTAVAIL)`])
    assert.equal(host.multiaddrs().length, 1)

    await assert.rejects(startHost(t, { listen: [elsewhere] }), (error: P2PError) => {
      assert.equal(error.code, 'network')
      assert.match(error.message, /198\.51\.100\.1/)
      return true
    })
    const deaf = await startHost(t, { listen: [elsewhere], mustListen: false })
    await deaf.connect({ peerId: host.peerId, multiaddrs: host.multiaddrs() })
  },
)

test('announced addresses replace those that are listened on', TIME_LIMIT, async (t) => {
  const host = await startHost(t, { announce: ['/dns4/seed.example/tcp/4001'] })
  assert.deepEqual(host.multiaddrs(), [`/dns4/seed.example/tcp/4001/p2p/${host.peerId}`])
})

test('the bootstrap list is dialled at once, and again when its peer comes back', TIME_LIMIT, async (t) => {
  const privateKey = await generateKeyPair('Ed25519')
  const bootstrap = await startHost(t, { privateKey })
  const list = bootstrap.multiaddrs()
  const host = await startHost(t)
  const connected = once(host.libp2p, 'peer:connect')
  host.dialBootstrap(list)
  await connected

  const unreachable = await new Promise((resolve) => {
    host.dialBootstrap(['/ip4/127.0.0.1/tcp/1'], { onUnreachable: resolve })
  })
  assert.deepEqual(unreachable, ['/ip4/127.0.0.1/tcp/1'])

  const gone = once(host.libp2p, 'peer:disconnect')
  await bootstrap.stop()
  await gone
  const back = once(host.libp2p, 'peer:connect')
  await startHost(t, { privateKey, listen: [list[0]!.replace(/\/p2p\/.*/, '')] })
  await back
})

test('without a bootstrap list nothing but what was named is dialled', TIME_LIMIT, async (t) => {
  const hosts: unknown[] = []
  const connect = Socket.prototype.connect
  t.mock.method(Socket.prototype, 'connect', function (this: Socket, ...args: [{ host: string }[]]) {
    hosts.push(args[0][0]?.host)
    return Reflect.apply(connect, this, args)
  })
  const server = await startHost(t, { listen: ['/ip4/127.0.0.1/tcp/0'] })
  const client = await startHost(t, { listen: ['/ip4/127.0.0.1/tcp/0'] })
  client.dialBootstrap([])
  assert.deepEqual(hosts, [])
  await client.connect(targetOf(server))
  assert.deepEqual(hosts, ['127.0.0.1'])
})

test('a peer cannot fill the peer store with addresses', TIME_LIMIT, async (t) => {
  const host = await startHost(t)
  const peer = await startHost(t, { listen: [] })
  const multiaddrs = Array.from({ length: 500 }, (_, index) => multiaddr(`/ip4/127.0.0.1/tcp/${10_000 + index}`))
  await host.libp2p.peerStore.merge(peer.libp2p.peerId, { multiaddrs })
  await until(t, async () => (await host.libp2p.peerStore.get(peer.libp2p.peerId)).addresses.length <= 64)
})

test('a process whose nodes were stopped ends by itself', TIME_LIMIT, async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL('./stopping-host.js', import.meta.url))], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  const [code] = await once(child, 'close')
  assert.equal(code, 0)
  assert.equal(Buffer.concat(chunks).toString(), 'connected\nstopped\n')
})
