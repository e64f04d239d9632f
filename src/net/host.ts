/**
 * The libp2p node: transports, encryption, listening and dialling, within limits. Made by `node/open.ts`, which passes in the
 * services that run on it (DHTs, bitswap). Nothing is dialled but what a caller, a service or `dialBootstrap` names.
 */

import { identify, identifyPush } from '@libp2p/identify'
import type { Libp2p, PrivateKey, ServiceMap } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Ping, ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2pOptions, type ServiceFactoryMap } from 'libp2p'
import { type AbortOptions, abortControllerForMany } from '../common/abort.ts'
import { P2PError } from '../common/errors.ts'
import { HOUR_MS, SECOND_MS } from '../common/units.ts'
import { pathOf, withPeerId } from './addresses.ts'
import { keepBootstrapped } from './bootstrap.ts'
import { connectTo, type DialTarget, dialOnce } from './dial.ts'
import { LIMITS, limitPeerRecords, perIpGater } from './limits.ts'
import { type ListenEvents, type Listeners, listenOn } from './listen.ts'
import { noiseOnDemand } from './noise-on-demand.ts'
import { tls } from './tls/encrypter.ts'
import { guardedYamux } from './yamux-guard.ts'

/** DHT provider records live for 48 hours and are worth nothing without the addresses of their peers. */
const PEER_ADDRESS_AGE_MS = 48 * HOUR_MS
const STOP_TIMEOUT_MS = 5 * SECOND_MS

/** Service factories as libp2p takes them: functions of the components they need. */
type ServiceFactories<Factories> = { [Name in keyof Factories]: (components: HostComponents) => unknown }

/** The services that these factories make. */
type ServicesOf<Factories extends ServiceFactories<Factories>> = {
  [Name in keyof Factories]: ReturnType<Factories[Name]>
}

export interface HostOptions<Factories extends ServiceFactories<Factories>> extends ListenEvents {
  privateKey: PrivateKey
  /** Holds what is known of peers, and the DHTs' records. Left out, nothing is remembered between runs. */
  datastore?: Datastore | undefined
  /** Multiaddrs to listen on; none for a node that only dials. */
  listen: string[]
  /** Whether it is an error if none of them can be listened on. Default true. */
  mustListen?: boolean | undefined
  /** Multiaddrs told to others instead of those that are listened on. */
  announce?: string[] | undefined
  /** libp2p service factories, as the `services` of `createLibp2p`. */
  services: Factories
  /** Told of bytes that are on their way and not looked at any more; connections by Noise do not tell. */
  onWritten?: ((bytes: Uint8Array) => void) | undefined
  /** Name and version of the program, as peers see it: `p2p/1.2.3`. */
  userAgent?: string | undefined
}

/** What a service factory can ask for. */
type HostComponents = Parameters<ServiceFactoryMap<{ ping: Ping }>['ping']>[0]

type Datastore = NonNullable<Libp2pOptions['datastore']>

interface HostConnection {
  peerId: string
  /** The address in use, ending in `/p2p/<peer id>`. */
  multiaddr: string
  /** `in` if the peer made the connection. */
  direction: 'in' | 'out'
  /** Null until it has been measured. */
  rttMs: number | null
}

export interface Host<Services extends ServiceMap = ServiceMap> {
  readonly peerId: string
  /** For services and streams; started and stopped by the host alone. */
  readonly libp2p: Libp2p<Services>
  /**
   * Starts the services and listens.
   * @throws P2PError `network` when none of the addresses can be listened on, and one must
   */
  start(): Promise<void>
  /** Ends connections, dials and listening. Takes 5 seconds at most. Can be called twice. */
  stop(): Promise<void>
  /** Dialable addresses, each ending in `/p2p/<peer id>`, those that reach furthest first. */
  multiaddrs(): string[]
  /** The peers that are connected, each once. */
  connections(): HostConnection[]
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

/** Makes a node; nothing is listened on or dialled before `start`. */
export async function createHost<Factories extends ServiceFactories<Factories>>(
  options: HostOptions<Factories>,
): Promise<Host<ServicesOf<Factories>>> {
  type Services = ServicesOf<Factories>
  let listeners!: Listeners
  const libp2p = (await createLibp2p({
    start: false,
    privateKey: options.privateKey,
    ...(options.datastore === undefined ? {} : { datastore: options.datastore }),
    nodeInfo: { userAgent: options.userAgent ?? 'p2p' },
    addresses: { listen: [], announce: options.announce ?? [] },
    transports: [tcp()],
    // The first that both sides know is taken: TLS 1.3 runs in native code and is up to twice as fast.
    connectionEncrypters: [tls({ onWritten: options.onWritten }), noiseOnDemand()],
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
      listeners: (components: { transportManager: Listeners }) => {
        listeners = components.transportManager
        return {}
      },
      ...options.services,
    },
  } as unknown as Libp2pOptions<Services>)) as Libp2p<Services>

  const peerId = libp2p.peerId.toString()
  const stopping = abortControllerForMany()
  let stopped: Promise<void> | undefined

  limitPeerRecords(libp2p)

  const host: Host<Services> = {
    peerId,
    libp2p,

    async start() {
      await libp2p.start()
      try {
        const failure = await listenOn(listeners, options.listen, options)
        if (failure !== undefined && options.mustListen !== false) throw failure
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
      if ((options.announce ?? []).length === 0) addresses.push(...listeners.getAddrs())
      const unique = new Set(addresses.map((address) => withPeerId(address, peerId).toString()))
      const order = { direct: 0, lan: 1, loopback: 2 }
      return [...unique].sort((a, b) => order[pathOf(a)] - order[pathOf(b)])
    },

    connections() {
      const open = libp2p.getConnections().filter(({ status }) => status === 'open')
      // Two sides that dial each other at once have two connections for a while.
      const byPeer = new Map(open.map((connection) => [connection.remotePeer.toString(), connection]))
      return [...byPeer].map(([id, { remoteAddr, direction, rtt }]) => ({
        peerId: id,
        multiaddr: withPeerId(remoteAddr, id).toString(),
        direction: direction === 'inbound' ? 'in' : 'out',
        rttMs: rtt ?? null,
      }))
    },

    async connect(target, { signal } = {}) {
      stopping.signal.throwIfAborted()
      try {
        await connectTo(libp2p, target, { signal })
      } catch (error) {
        // A dial fails in many ways when libp2p is stopped under it.
        if (signal?.aborted !== true) stopping.signal.throwIfAborted()
        throw error
      }
    },

    dialBootstrap(multiaddrs, { onUnreachable } = {}) {
      if (multiaddrs.length === 0) return
      void keepBootstrapped(
        {
          multiaddrs,
          dial: async (address, { signal }) => {
            const { remotePeer } = await dialOnce(libp2p, multiaddr(address), { signal })
            return remotePeer.toString()
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
