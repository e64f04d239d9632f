/**
 * The network of a node: started when an operation first needs peers, which is when its code is loaded, and closed with
 * the node. Built by `open.ts`.
 */

import type { BitswapInit } from '../bitswap/bitswap.ts'
import type { BlockStore } from '../blockstore/blockstore.ts'
import { BufferPool } from '../common/buffer-pool.ts'
import { P2PError } from '../common/errors.ts'
import { MiB } from '../common/units.ts'
import type { Host } from '../net/host.ts'
import type { Repo } from '../repo/repo.ts'
import type { NetworkSettings } from './network-settings.ts'
import type { Network } from './parts.ts'

export interface NodeNetworkOptions {
  repo: Repo
  store: BlockStore
  settings: NetworkSettings
  /** A `server` answers in the LAN DHT too; a `client` only asks. */
  role: 'server' | 'client'
  /** Multiaddrs told to others instead of those listened on; undefined: those of the settings. */
  announce?: string[] | undefined
  onWarning: (message: string) => void
}

/** What a node has for others that gives them nothing. */
const NOTHING: BitswapInit['blockstore'] = { get: async () => undefined, size: async () => undefined }

/** Memory of blocks that have come in or gone out, kept for the next ones. */
const IDLE_BUFFER_BYTES = 16 * MiB

export class NodeNetwork {
  readonly #options: NodeNetworkOptions
  #starting: Promise<Network> | undefined
  #started: Network | undefined
  #closed = false

  constructor(options: NodeNetworkOptions) {
    this.#options = options
  }

  get started(): Network | undefined {
    return this.#started
  }

  /**
   * Listens, and joins the DHTs; once, however often it is called.
   *
   * @throws P2PError `network` if nothing can be listened on, `bad-config` for a damaged identity
   */
  async start(): Promise<Network> {
    if (this.#closed) throw new P2PError('aborted', 'The node is closed')
    this.#starting ??= this.#startNow()
    return await this.#starting
  }

  async close(): Promise<void> {
    this.#closed = true
    const network = await this.#starting?.catch(() => undefined)
    await network?.routing.close()
    await network?.host.stop()
  }

  async #startNow(): Promise<Network> {
    const { repo, store, settings, role, announce, onWarning } = this.#options
    const [{ createHost }, { DhtRouting, dhtServices }, { bitswap }, { pathOf }, privateKey] = await Promise.all([
      import('../net/host.ts'),
      import('../routing/dht.ts'),
      import('../bitswap/bitswap.ts'),
      import('../net/addresses.ts'),
      repo.identity(),
    ])
    const { listen, limits, seed, bootstrap } = settings
    let connect!: Host['connect']
    const buffers = new BufferPool(IDLE_BUFFER_BYTES)
    const host = await createHost({
      privateKey,
      datastore: await this.#datastore(privateKey.publicKey.toString()),
      listen,
      // What only asks listens where it can, and not where the settings say.
      mustListen: role === 'server',
      announce: announce ?? (role === 'server' ? repo.config['addresses.announce'] : []),
      onWritten: (bytes) => buffers.give(bytes),
      services: {
        ...dhtServices(role),
        bitswap: bitswap({
          buffers,
          blockstore: seed ? store : NOTHING,
          pathOf,
          connect: (source, options) => connect(source, options),
          limits: {
            upBytesPerSecond: limits.up ?? undefined,
            downBytesPerSecond: limits.down ?? undefined,
            lan: limits.lan,
          },
          onError: onWarning,
        }),
      },
      onPortTaken: (from, to) => onWarning(`${from} is taken by another program; listening on ${to}`),
      onListenFailed: (address, reason) => {
        onWarning(`Cannot listen on ${address}: ${reason}`)
      },
    })
    connect = host.connect
    const { lanDht, wanDht, bitswap: exchange } = host.libp2p.services
    const routing = new DhtRouting({ lan: lanDht, wan: wanDht, libp2p: host.libp2p })
    await host.start()
    this.#started = {
      host,
      exchange,
      routing,
      peerId: host.peerId,
      isolated: bootstrap.length === 0 && role === 'client',
    }
    host.dialBootstrap(bootstrap, {
      onUnreachable: (multiaddrs) => onWarning(`Bootstrap peers out of reach: ${multiaddrs.join(', ')}`),
    })
    return this.#started
  }

  /** What libp2p remembers between runs. In isolation nothing: a remembered peer would be dialled at the next start. */
  async #datastore(peerId: string) {
    const { settings, repo } = this.#options
    if (settings.bootstrap.length === 0) return undefined
    const { limitDhtRecords } = await import('../routing/dht-datastore.ts')
    return await limitDhtRecords(await repo.database.datastore('libp2p'), { peerId })
  }
}
