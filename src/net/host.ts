/**
 * The libp2p node: transports, encryption, limits, listening and dialling. Made by `node/open.ts`, which passes in the
 * services that run on it (DHTs, bitswap). Nothing is dialled but what a caller, a service or `dialBootstrap` names.
 */

import { identify, identifyPush } from '@libp2p/identify'
import type {
  Connection,
  ConnectionGater,
  Libp2p,
  MultiaddrConnection,
  PrivateKey,
  ServiceMap,
} from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2pOptions, type ServiceFactoryMap } from 'libp2p'
import { type AbortOptions, sleep } from '../common/abort.ts'
import { startDeadline } from '../common/deadline.ts'
import { errnoOf, messageOf, P2PError } from '../common/errors.ts'
import { HOUR_MS, MiB, SECOND_MS } from '../common/units.ts'
import { ipGroupOf, pathOf, tcpPortOf, withPeerId, withTcpPort } from './addresses.ts'
import { keepBootstrapped } from './bootstrap.ts'
import { guardedYamux } from './yamux-guard.ts'

/** What one node takes on. Figures of others for comparison: https://github.com/libp2p/js-libp2p/blob/main/doc/LIMITS.md */
const LIMITS = {
  connections: 512,
  connectionsPerIp: 64,
  newConnectionsPerSecondPerIp: 50,
  pendingInboundConnections: 16,
  inboundStreamsPerConnection: 128,
  outboundStreamsPerConnection: 256,
  /** Above this a link of 100 ms carries 40 MiB/s a stream; the read buffer has to stay above it. */
  streamWindowBytes: 4 * MiB,
  streamReadBufferBytes: 16 * MiB,
  streamWriteBufferBytes: 16 * MiB,
  addressesPerPeer: 64,
  protocolsPerPeer: 1024,
} as const

/** DHT provider records live for 48 hours and are worth nothing without the addresses of their peers. */
const PEER_ADDRESS_AGE_MS = 48 * HOUR_MS
/** For one `connect`, all addresses and attempts together. */
const CONNECT_TIMEOUT_MS = 15 * SECOND_MS
const CONNECT_ATTEMPTS = 3
const CONNECT_RETRY_MS = 300
const STOP_TIMEOUT_MS = 5 * SECOND_MS

/** Failures that another attempt would only repeat; all else may be a peer that is busy accepting others. */
const FINAL_DIAL_FAILURES = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'DialDeniedError',
  'InvalidPeerIdError',
  'NoValidAddressesError',
])

/** Service factories as libp2p takes them: functions of the components they need. */
type ServiceFactories<Factories> = { [Name in keyof Factories]: (components: HostComponents) => unknown }

/** The services that these factories make. */
export type ServicesOf<Factories extends ServiceFactories<Factories>> = {
  [Name in keyof Factories]: ReturnType<Factories[Name]>
}

export interface HostOptions<Factories extends ServiceFactories<Factories>> {
  privateKey: PrivateKey
  /** Holds what is known of peers, and the DHTs' records. Left out, nothing is remembered between runs. */
  datastore?: Datastore | undefined
  /** Multiaddrs to listen on; none for a node that only dials. */
  listen: string[]
  /** Multiaddrs told to others instead of those that are listened on. */
  announce?: string[] | undefined
  /** libp2p service factories, as the `services` of `createLibp2p`. */
  services: Factories
  /** Name and version of the program, as peers see it: `p2p/1.2.3`. */
  userAgent?: string | undefined
  /** A port is taken by another program and a free one is used instead. */
  onPortTaken?: ((from: string, to: string) => void) | undefined
  /** An address cannot be listened on, while another can. */
  onListenFailed?: ((multiaddr: string, reason: unknown) => void) | undefined
}

/** What a service factory can ask for. */
type HostComponents = Parameters<ServiceFactoryMap<{ ping: Ping }>['ping']>[0]

type Datastore = NonNullable<Libp2pOptions['datastore']>

/** A peer and where it may be; addresses may be empty if it is known already. */
export interface DialTarget {
  peerId: string
  multiaddrs: string[]
}

export interface Host<Services extends ServiceMap = ServiceMap> {
  readonly peerId: string
  /** For services and streams; started and stopped by the host alone. */
  readonly libp2p: Libp2p<Services>
  /**
   * Starts the services and listens.
   * @throws P2PError `network` when none of the addresses can be listened on
   */
  start(): Promise<void>
  /** Ends connections, dials and listening. Takes 5 seconds at most. Can be called twice. */
  stop(): Promise<void>
  /** Dialable addresses, each ending in `/p2p/<peer id>`, those that reach furthest first. */
  multiaddrs(): string[]
  /**
   * Connects to a peer, unless it is connected. A dial that is refused is tried again; all in all it takes 15 seconds
   * at most.
   * @throws P2PError `network`, or the signal's reason
   */
  connect(target: DialTarget, options?: AbortOptions): Promise<void>
  /** Dials the list now, and again with growing delays whenever none of it is connected, until the host stops. */
  dialBootstrap(
    multiaddrs: string[],
    options?: { onUnreachable?: (multiaddrs: string[], reason: unknown) => void },
  ): void
}

interface TransportManager {
  listen(addresses: Multiaddr[]): Promise<void>
  getAddrs(): Multiaddr[]
}

/** Makes a node; nothing is listened on or dialled before `start`. */
export async function createHost<Factories extends ServiceFactories<Factories>>(
  options: HostOptions<Factories>,
): Promise<Host<ServicesOf<Factories>>> {
  type Services = ServicesOf<Factories>
  let transports!: TransportManager
  const libp2p = (await createLibp2p({
    start: false,
    privateKey: options.privateKey,
    ...(options.datastore === undefined ? {} : { datastore: options.datastore }),
    nodeInfo: { userAgent: options.userAgent ?? 'p2p' },
    addresses: { listen: [], announce: options.announce ?? [] },
    transports: [tcp()],
    // The first that both sides know is taken: TLS 1.3 runs in native code and is up to twice as fast.
    connectionEncrypters: [tls(), noise()],
    streamMuxers: [
      guardedYamux(
        {
          maxInboundStreams: LIMITS.inboundStreamsPerConnection,
          maxOutboundStreams: LIMITS.outboundStreamsPerConnection,
          streamOptions: {
            maxStreamWindowSize: LIMITS.streamWindowBytes,
            maxReadBufferLength: LIMITS.streamReadBufferBytes,
            maxWriteBufferLength: LIMITS.streamWriteBufferBytes,
          },
        },
        LIMITS.streamWindowBytes,
      ),
    ],
    connectionManager: {
      maxConnections: LIMITS.connections,
      inboundConnectionThreshold: LIMITS.newConnectionsPerSecondPerIp,
      maxIncomingPendingConnections: LIMITS.pendingInboundConnections,
    },
    // One late answer to a ping must not cost a busy connection; the pings still measure the round trip.
    connectionMonitor: { abortConnectionOnPingFailure: false },
    connectionGater: perIpGater(() => libp2p.getConnections()),
    peerStore: { maxAddressAge: PEER_ADDRESS_AGE_MS, maxPeerAge: PEER_ADDRESS_AGE_MS },
    services: {
      identify: identify(),
      identifyPush: identifyPush(),
      ping: ping(),
      transports: (components: { transportManager: TransportManager }) => {
        transports = components.transportManager
        return {}
      },
      ...options.services,
    },
  } as unknown as Libp2pOptions<Services>)) as Libp2p<Services>

  const peerId = libp2p.peerId.toString()
  const stopping = new AbortController()
  let stopped: Promise<void> | undefined

  libp2p.addEventListener('peer:update', ({ detail: { peer } }) => {
    const { addressesPerPeer, protocolsPerPeer } = LIMITS
    if (peer.addresses.length <= addressesPerPeer && peer.protocols.length <= protocolsPerPeer) return
    void libp2p.peerStore
      .patch(peer.id, {
        addresses: peer.addresses.slice(-addressesPerPeer),
        protocols: peer.protocols.slice(0, protocolsPerPeer),
      })
      .catch(() => {})
  })

  const host: Host<Services> = {
    peerId,
    libp2p,

    async start() {
      await libp2p.start()
      try {
        await listenOn(transports, options)
      } catch (error) {
        await host.stop()
        throw error
      }
      // libp2p does so a second later, and until then the DHTs would give this node out without an address.
      const multiaddrs = libp2p.getMultiaddrs().map((address) => address.decapsulate(`/p2p/${peerId}`))
      await libp2p.peerStore.patch(libp2p.peerId, { multiaddrs })
    },

    stop() {
      stopping.abort(new P2PError('aborted', 'The network was stopped'))
      stopped ??= stopWithin(libp2p, STOP_TIMEOUT_MS)
      return stopped
    },

    multiaddrs() {
      const addresses = libp2p.getMultiaddrs()
      // libp2p leaves out its own public addresses until others have confirmed them.
      if ((options.announce ?? []).length === 0) addresses.push(...transports.getAddrs())
      const unique = new Set(addresses.map((address) => withPeerId(address, peerId).toString()))
      const order = { direct: 0, lan: 1, loopback: 2 }
      return [...unique].sort((a, b) => order[pathOf(a)] - order[pathOf(b)])
    },

    async connect(target, { signal } = {}) {
      await connect(libp2p, target, { signal, stopped: stopping.signal })
    },

    dialBootstrap(multiaddrs, { onUnreachable } = {}) {
      if (multiaddrs.length === 0) return
      void keepBootstrapped(
        {
          multiaddrs,
          dial: async (address, { signal }) => {
            const connection = await dialWithin(libp2p, multiaddr(address), CONNECT_TIMEOUT_MS, { signal })
            return connection.remotePeer.toString()
          },
          isConnected: (id) => libp2p.getConnections(peerIdFromString(id)).length > 0,
          onDisconnect: (listener) => {
            libp2p.addEventListener('peer:disconnect', listener)
            return () => libp2p.removeEventListener('peer:disconnect', listener)
          },
          onUnreachable,
        },
        { signal: stopping.signal },
      )
    },
  }
  return host
}

/** Refuses more than a share of the connections to one IP; loopback and LAN may be many behind one address. */
function perIpGater(connections: () => Connection[]): ConnectionGater {
  const refuses = (incoming: MultiaddrConnection): boolean => {
    if (pathOf(incoming.remoteAddr) !== 'direct') return false
    const group = ipGroupOf(incoming.remoteAddr)
    const held = connections().filter(({ remoteAddr }) => ipGroupOf(remoteAddr) === group).length
    return held >= LIMITS.connectionsPerIp
  }
  return {
    denyInboundConnection: refuses,
    // Again at the end, because connections that were being set up side by side did not count each other.
    denyInboundUpgradedConnection: (_peerId, incoming) => refuses(incoming),
  }
}

type ListenOptions = Pick<HostOptions<Record<string, never>>, 'listen' | 'onPortTaken' | 'onListenFailed'>

async function listenOn(transports: TransportManager, options: ListenOptions): Promise<void> {
  let firstFailure: unknown
  const addresses = options.listen.map((address) => multiaddr(address))
  let listening = 0
  // One after the other: which of several failed cannot be told from libp2p's error.
  for (const address of addresses) {
    try {
      await transports.listen([address])
      listening++
    } catch (error) {
      const port = tcpPortOf(address)
      if (port !== undefined && port !== 0 && /\bEADDRINUSE\b/.test(messageOf(error))) {
        try {
          const before = new Set(transports.getAddrs().map(String))
          await transports.listen([withTcpPort(address, 0)])
          listening++
          const opened = transports.getAddrs().find((candidate) => !before.has(candidate.toString()))
          const freePort = opened === undefined ? undefined : tcpPortOf(opened)
          if (freePort !== undefined) {
            options.onPortTaken?.(address.toString(), withTcpPort(address, freePort).toString())
          }
          continue
        } catch {
          // The first failure is the one that tells the user what to change.
        }
      }
      firstFailure ??= error
      options.onListenFailed?.(address.toString(), error)
    }
  }
  if (addresses.length > 0 && listening === 0) {
    throw new P2PError('network', `Cannot listen on ${options.listen.join(', ')}`, {
      hint: 'Choose an address of this machine with --listen, such as /ip4/0.0.0.0/tcp/0.',
      cause: firstFailure,
    })
  }
}

async function connect(
  libp2p: Libp2p,
  { peerId, multiaddrs }: DialTarget,
  { signal, stopped }: { signal: AbortSignal | undefined; stopped: AbortSignal },
): Promise<void> {
  const id = peerIdFromString(peerId)
  const addresses = multiaddrs.map((address) => withPeerId(multiaddr(address), peerId))
  const deadline = startDeadline(CONNECT_TIMEOUT_MS, { signal })
  try {
    for (let attempt = 1; ; attempt++) {
      stopped.throwIfAborted()
      try {
        await libp2p.dial(addresses.length > 0 ? addresses : id, { signal: deadline.signal })
        return
      } catch (error) {
        signal?.throwIfAborted()
        stopped.throwIfAborted()
        if (deadline.expired || attempt === CONNECT_ATTEMPTS || isFinal(error)) {
          const where = multiaddrs.length === 0 ? '' : ` at ${multiaddrs.join(', ')}`
          throw new P2PError('network', `Cannot connect to ${peerId}${where}: ${reasonOf(error, deadline.expired)}`, {
            cause: error,
          })
        }
        await sleep(CONNECT_RETRY_MS * attempt * (0.5 + Math.random()), { signal: deadline.signal })
      }
    }
  } finally {
    deadline.release()
  }
}

async function dialWithin(
  libp2p: Libp2p,
  address: Multiaddr,
  timeoutMs: number,
  { signal }: AbortOptions,
): Promise<Connection> {
  // Given a signal of the caller's, libp2p sets no time limit of its own.
  const deadline = startDeadline(timeoutMs, { signal })
  try {
    return await libp2p.dial(address, { signal: deadline.signal })
  } finally {
    deadline.release()
  }
}

/** True when every address failed in a way that will not pass by itself within seconds. */
function isFinal(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.length > 0 && error.errors.every(isFinal)
  return FINAL_DIAL_FAILURES.has(errnoOf(error) ?? '') || FINAL_DIAL_FAILURES.has((error as Error)?.name ?? '')
}

function reasonOf(error: unknown, timedOut: boolean): string {
  if (timedOut) return `no answer within ${CONNECT_TIMEOUT_MS / SECOND_MS} s`
  const errors: unknown[] = error instanceof AggregateError ? error.errors : [error]
  return [...new Set(errors.map(messageOf))].join('; ')
}

async function stopWithin(libp2p: Libp2p, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  try {
    await Promise.race([libp2p.stop(), timeout])
  } finally {
    clearTimeout(timer)
  }
}
