/**
 * Finding and announcing providers through two DHTs, as Kubo does: the public one (WAN) and one among private addresses
 * (LAN). `node/open.ts` puts `dhtServices` into the host and gives the running services to `DhtRouting`.
 * Specification: https://github.com/libp2p/specs/tree/master/kad-dht
 *
 * Each DHT is driven by itself: asked through libp2p's content routing, both wait for as long as one has no peers.
 */

import type { Libp2p, PeerInfo } from '@libp2p/interface'
import {
  type KadDHT,
  type KadDHTComponents,
  kadDHT,
  removePrivateAddressesMapper,
  removePublicAddressesMapper,
} from '@libp2p/kad-dht'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import { type Deadline, startDeadline } from '../common/deadline.ts'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../common/units.ts'
import type { ProvideResult, Provider, Routing } from './routing.ts'

/** Where each DHT keeps its records in the host's datastore. */
export const DHT_DATASTORE_PREFIXES = { lan: '/dht-lan', wan: '/dht-wan' } as const

/** How long others keep a provider record: https://github.com/libp2p/specs/tree/master/kad-dht#content-provider-advertisement-and-discovery */
const PROVIDER_RECORD_VALIDITY_MS = 48 * HOUR_MS

/** How long a search waits for a DHT that has no peers yet; a bootstrap dial and its first exchanges fit into it. */
const FIRST_PEER_TIMEOUT_MS = 5 * SECOND_MS
/** For one search or announcement in one DHT. */
const QUERY_TIMEOUT_MS = MINUTE_MS
const SELF_LOOKUP_TIMEOUT_MS = 10 * SECOND_MS

/** A kad-dht service with the part of its routing table that its own type leaves out. */
export interface DhtService extends KadDHT {
  readonly routingTable: {
    readonly size: number
    addEventListener(type: 'peer:add' | 'peer:remove', listener: () => void): void
    removeEventListener(type: 'peer:add' | 'peer:remove', listener: () => void): void
  }
}

export interface DhtServiceFactories {
  lanDht: (components: KadDHTComponents) => DhtService
  wanDht: (components: KadDHTComponents) => DhtService
}

/**
 * The two DHTs as libp2p services.
 *
 * @param role - `server` answers on the LAN, and on the WAN once a public address of this node is confirmed; `client`
 * only asks
 */
export function dhtServices(role: 'server' | 'client'): DhtServiceFactories {
  const common = {
    // A query with an empty table then ends at once and tells so; the other way it waits until it is aborted.
    allowQueryWithZeroPeers: true,
    // Announcing again is up to `provider.ts`; the library only sweeps expired records of others.
    reprovide: { validity: PROVIDER_RECORD_VALIDITY_MS, threshold: 0 },
  }
  const lanDht = kadDHT({
    ...common,
    protocol: '/ipfs/lan/kad/1.0.0',
    peerInfoMapper: removePublicAddressesMapper,
    clientMode: role === 'client',
    datastorePrefix: DHT_DATASTORE_PREFIXES.lan,
    logPrefix: 'libp2p:dht-lan',
    metricsPrefix: 'libp2p_dht_lan',
  })
  const wanDht = kadDHT({
    ...common,
    protocol: '/ipfs/kad/1.0.0',
    peerInfoMapper: removePrivateAddressesMapper,
    // Never `false`: that would make a server of a node that nobody can reach.
    ...(role === 'client' ? { clientMode: true } : {}),
    datastorePrefix: DHT_DATASTORE_PREFIXES.wan,
    logPrefix: 'libp2p:dht-wan',
    metricsPrefix: 'libp2p_dht_wan',
  })
  return { lanDht, wanDht } as DhtServiceFactories
}

export interface DhtRoutingOptions {
  lan: DhtService
  wan: DhtService
  libp2p: Pick<Libp2p, 'peerId' | 'peerStore' | 'getMultiaddrs'>
  /** Default 5,000. */
  firstPeerTimeoutMs?: number | undefined
  /** Default 60,000. */
  queryTimeoutMs?: number | undefined
}

interface Part {
  readonly via: 'lan-dht' | 'wan-dht'
  readonly dht: DhtService
  /** Kept by events: peers that are added at the same time are all in the table before the first event. */
  hasPeers: boolean
}

/** Attaches itself to the services, which may start before or after; `close` ends its searches. */
export class DhtRouting implements Routing {
  readonly #parts: readonly [lan: Part, wan: Part]
  readonly #libp2p: DhtRoutingOptions['libp2p']
  readonly #firstPeerTimeoutMs: number
  readonly #queryTimeoutMs: number
  readonly #firstPeerListeners = new Set<() => void>()
  readonly #running = new Set<Deadline>()
  #closed = false
  readonly #detach: (() => void)[]

  constructor(options: DhtRoutingOptions) {
    this.#parts = [
      { via: 'lan-dht', dht: options.lan, hasPeers: options.lan.routingTable.size > 0 },
      { via: 'wan-dht', dht: options.wan, hasPeers: options.wan.routingTable.size > 0 },
    ]
    this.#libp2p = options.libp2p
    this.#firstPeerTimeoutMs = options.firstPeerTimeoutMs ?? FIRST_PEER_TIMEOUT_MS
    this.#queryTimeoutMs = options.queryTimeoutMs ?? QUERY_TIMEOUT_MS
    this.#detach = this.#parts.map((part) => this.#watchTable(part))
  }

  /** Peers in the routing tables. */
  get tableSizes(): { lan: number; wan: number } {
    const [lan, wan] = this.#parts
    return { lan: lan.dht.routingTable.size, wan: wan.dht.routingTable.size }
  }

  onFirstPeer(listener: () => void): () => void {
    this.#firstPeerListeners.add(listener)
    return () => this.#firstPeerListeners.delete(listener)
  }

  /**
   * Addresses end in `/p2p/<peer id>`. A provider comes once, and again only with addresses that it did not have before: the first record may be a false
   * one. One without addresses is known to the DHT by its id alone.
   */
  async *findProviders(cid: CID, { signal }: AbortOptions = {}): AsyncIterable<Provider> {
    signal?.throwIfAborted()
    const deadline = this.#startDeadline(this.#firstPeerTimeoutMs + this.#queryTimeoutMs, signal)
    const found: Provider[] = []
    let searching: number = this.#parts.length
    let wake = () => {}
    // Both at once; what they have found waits here, 20 providers a DHT at most.
    for (const part of this.#parts) {
      void this.#findIn(part, cid, deadline.signal, (provider) => {
        found.push(provider)
        wake()
      }).finally(() => {
        searching--
        wake()
      })
    }
    const known = new Map<string, Set<string>>()
    try {
      while (true) {
        for (let provider = found.shift(); provider !== undefined; provider = found.shift()) {
          const fresh = withoutKnown(provider, known)
          if (fresh !== undefined) yield fresh
        }
        signal?.throwIfAborted()
        if (searching === 0) return
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    } finally {
      this.#running.delete(deadline)
      deadline.cancel()
    }
  }

  async provide(cid: CID, { signal }: AbortOptions = {}): Promise<ProvideResult> {
    signal?.throwIfAborted()
    const lonely = this.#parts.some(({ dht }) => dht.routingTable.size === 0)
    const asked = this.#parts.some(({ dht }) => dht.routingTable.size > 0)
    // Peers drop a record without addresses, so it would be told to nobody.
    if (this.#libp2p.getMultiaddrs().length === 0) return { peers: 0, again: 'later' }
    const told = new Set<string>()
    const deadline = this.#startDeadline(this.#queryTimeoutMs, signal)
    try {
      // Also where there are no peers: the DHT then has the record for those who will ask this node.
      await Promise.all(this.#parts.map((part) => provideIn(part, cid, told, deadline.signal)))
    } finally {
      this.#running.delete(deadline)
      // Not cancelled: that would reset the streams whose last bytes are on their way.
      deadline.release()
    }
    signal?.throwIfAborted()
    if (told.size === 0 && asked) return { peers: 0, again: 'later' }
    return { peers: told.size, again: lonely ? 'first-peer' : 'before-expiry' }
  }

  /** Ends what is under way; searches then end without an error. */
  close(): void {
    for (const detach of this.#detach) detach()
    this.#firstPeerListeners.clear()
    this.#closed = true
    for (const deadline of this.#running) deadline.cancel()
  }

  #startDeadline(ms: number, signal: AbortSignal | undefined): Deadline {
    const deadline = startDeadline(ms, { signal })
    if (this.#closed) deadline.cancel()
    this.#running.add(deadline)
    return deadline
  }

  /** Never rejects: a DHT that fails is no reason to lose what the other one finds. */
  async #findIn(part: Part, cid: CID, signal: AbortSignal, onFound: (provider: Provider) => void): Promise<void> {
    try {
      await this.#untilFirstPeer(part, signal)
      for await (const event of part.dht.findProviders(cid, { signal })) {
        if (event.name !== 'PROVIDER') continue
        for (const peer of event.providers) {
          if (signal.aborted) return
          const provider = await this.#toProvider(part, peer)
          if (provider !== undefined) onFound(provider)
        }
      }
    } catch {}
  }

  /** Undefined for this node, and for a public record that has private addresses only. */
  async #toProvider({ via }: Part, peer: PeerInfo): Promise<Provider | undefined> {
    if (this.#libp2p.peerId.equals(peer.id)) return undefined
    const provider = (multiaddrs: Multiaddr[]): Provider => {
      const peerId = peer.id.toString()
      // Records have them with and without the peer id at their end.
      const unique = new Set(multiaddrs.map((address) => address.toString().replace(/\/p2p\/[^/]+$/, '')))
      return { peerId, multiaddrs: [...unique].map((address) => `${address}/p2p/${peerId}`), via }
    }
    if (peer.multiaddrs.length > 0) {
      // Private addresses from strangers would make this node dial into its own network.
      const { multiaddrs } = via === 'wan-dht' ? removePrivateAddressesMapper(peer) : peer
      return multiaddrs.length === 0 ? undefined : provider(multiaddrs)
    }
    const stored = await this.#libp2p.peerStore.get(peer.id).catch(() => undefined)
    return provider((stored?.addresses ?? []).map(({ multiaddr }) => multiaddr))
  }

  async #untilFirstPeer({ dht }: Part, signal: AbortSignal): Promise<void> {
    if (dht.routingTable.size > 0) return
    const deadline = startDeadline(this.#firstPeerTimeoutMs, { signal })
    try {
      await new Promise<void>((resolve) => {
        const end = () => {
          dht.routingTable.removeEventListener('peer:add', end)
          resolve()
        }
        dht.routingTable.addEventListener('peer:add', end)
        deadline.signal.addEventListener('abort', end, { once: true })
      })
    } finally {
      deadline.release()
    }
  }

  #watchTable(part: Part): () => void {
    const { routingTable } = part.dht
    const onAdd = () => {
      if (part.hasPeers) return
      part.hasPeers = true
      // Through its first peer the node finds more of them, to which the listeners then announce as well.
      void this.#lookUpSelf(part).then(() => {
        for (const listener of this.#firstPeerListeners) listener()
      })
    }
    const onRemove = () => {
      part.hasPeers = routingTable.size > 0
    }
    routingTable.addEventListener('peer:add', onAdd)
    routingTable.addEventListener('peer:remove', onRemove)
    return () => {
      routingTable.removeEventListener('peer:add', onAdd)
      routingTable.removeEventListener('peer:remove', onRemove)
    }
  }

  /** Makes this node and its neighbours known to each other; the library does so only every five minutes. */
  async #lookUpSelf({ dht }: Part): Promise<void> {
    const deadline = this.#startDeadline(SELF_LOOKUP_TIMEOUT_MS, undefined)
    try {
      for await (const _event of dht.getClosestPeers(this.#libp2p.peerId.toMultihash().bytes, deadline)) {
        // What it finds goes into the routing table by itself.
      }
    } catch {
      // The library's own look-up comes later.
    } finally {
      this.#running.delete(deadline)
      deadline.cancel()
    }
  }
}

async function provideIn({ dht }: Part, cid: CID, told: Set<string>, signal: AbortSignal): Promise<void> {
  try {
    for await (const event of dht.provide(cid, { signal })) {
      if (event.name === 'PEER_RESPONSE' && event.messageName === 'ADD_PROVIDER') told.add(event.from.toString())
    }
  } catch {
    // The number of peers that were told is the result, whatever ended the query.
  }
}

function withoutKnown(provider: Provider, known: Map<string, Set<string>>): Provider | undefined {
  const knownAddresses = known.get(provider.peerId)
  const fresh = provider.multiaddrs.filter((address) => knownAddresses?.has(address) !== true)
  known.set(provider.peerId, new Set([...(knownAddresses ?? []), ...fresh]))
  if (knownAddresses !== undefined && fresh.length === 0) return undefined
  return { ...provider, multiaddrs: fresh }
}
