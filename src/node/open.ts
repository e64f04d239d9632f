/**
 * Joins the parts into a node: the one place that knows the concrete classes and turns settings into their options.
 * Called by the command line and by `daemon/serve.ts`. The network's code is loaded when the network starts.
 */

import type { Bitswap, BitswapInit } from '../bitswap/bitswap.ts'
import { FsBlockStore } from '../blockstore/fs-blockstore.ts'
import { LocalBlockStore } from '../blockstore/local-blockstore.ts'
import { References } from '../blockstore/references.ts'
import { BufferPool } from '../common/buffer-pool.ts'
import { systemClock } from '../common/clock.ts'
import { P2PError } from '../common/errors.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import type { OnProgress } from '../common/progress.ts'
import { MiB } from '../common/units.ts'
import type { Host } from '../net/host.ts'
import { Pins } from '../pin/pins.ts'
import { readBootId } from '../repo/boot-id.ts'
import type { RepoLocation } from '../repo/location.ts'
import { openRepo, type Repo } from '../repo/repo.ts'
import type { DhtRouting } from '../routing/dht.ts'
import type { Provider } from '../routing/provider.ts'
import type { AddOptions, AddResult, AddSource, Api, GetOptions, GetResult } from './api.ts'
import { type NetworkOptions, type NetworkSettings, networkSettings } from './network-settings.ts'

export interface NodeOptions extends NetworkOptions {
  location: RepoLocation
  /** The command as others read it who find the repo held: `p2p serve`. */
  command: string
  /** How long to wait for a repo that another process holds, in milliseconds. */
  holdTimeoutMs: number
  /** Multiaddrs told to others instead of those listened on; undefined: those of the settings. */
  announce?: string[] | undefined
  /** A `server` answers in the LAN DHT too; a `client` only asks. */
  role: 'server' | 'client'
  signal?: AbortSignal | undefined
  onProgress?: OnProgress | undefined
}

export interface Node extends Api {
  /** Empty before {@link startNetwork}. */
  readonly peerId: string
  /**
   * Listens, and joins the DHTs; `get` does so by itself when it needs peers.
   *
   * @throws P2PError `network` if nothing can be listened on, `bad-config` for a damaged identity
   */
  startNetwork(): Promise<void>
  /** Dialable addresses, each ending in `/p2p/<peer id>`. Empty before {@link startNetwork}. */
  multiaddrs(): string[]
  /** How it takes part in the network, once that is started. */
  readonly network: NetworkSettings
  /** Announces every root now, and again before the records expire, until the node closes. */
  startAnnouncing(options: { onAnnounced: (event: { cid: string; peers: number }) => void }): void
}

/**
 * Opens the repo, which this process then holds, and the stores in it. Nothing is dialled or listened on yet.
 *
 * @throws P2PError `repo-held`, `repo-version`, `bad-config`, `io`, `disk-full`
 */
export async function openNode(options: NodeOptions): Promise<Node> {
  const { location, command, holdTimeoutMs, signal, onProgress } = options
  const repo = await openRepo({
    location,
    command,
    waitMs: holdTimeoutMs,
    signal,
    onWait: (message) => onProgress?.({ type: 'note', message }),
  })
  try {
    const files = await FsBlockStore.open(repo.blocksDir, {
      onCorrupt: (cid) => {
        const message = `Block ${cid} was damaged on this disk: it is set aside, and counts as not here.`
        onProgress?.({ type: 'warning', message })
      },
    })
    return new LocalNode(options, repo, files)
  } catch (error) {
    await repo.close()
    throw error
  }
}

/** What a node has for others that gives them nothing. */
const NOTHING: BitswapInit['blockstore'] = { get: async () => undefined, size: async () => undefined }

/** Memory of blocks that have come in or gone out, kept for the next ones. */
const IDLE_BUFFER_BYTES = 16 * MiB

interface Network {
  host: Host
  bitswap: Bitswap
  routing: DhtRouting
}

class LocalNode implements Node {
  readonly network: NetworkSettings
  readonly #options: NodeOptions
  readonly #repo: Repo
  readonly #references: References
  readonly #store: LocalBlockStore
  readonly #pins: Pins
  readonly #targets = new KeyedLock()
  #starting: Promise<Network> | undefined
  #network: Network | undefined
  #provider: Provider | undefined
  #announcing: Promise<void> | undefined
  #closed = false

  constructor(options: NodeOptions, repo: Repo, files: FsBlockStore) {
    this.#options = options
    this.#repo = repo
    this.network = networkSettings(options, repo.config)
    this.#references = new References(repo.database, {
      onLost: (path) => this.#warn(`${path} was changed, moved or removed: it is not served any more`),
    })
    this.#store = new LocalBlockStore(files, this.#references)
    this.#pins = new Pins(repo.database.space('pin'), systemClock)
  }

  get peerId(): string {
    return this.#network?.host.peerId ?? ''
  }

  multiaddrs(): string[] {
    return this.#network?.host.multiaddrs() ?? []
  }

  async add(sources: AddSource[], options?: AddOptions): Promise<AddResult> {
    const { addSources } = await import('./operations/add.ts')
    const parts = { store: this.#store, references: this.#references, pins: this.#pins, clock: systemClock }
    const result = await addSources(parts, sources, options)
    for (const { cid } of result.roots) this.#announce(cid)
    return { ...result, reachable: this.#provider !== undefined }
  }

  async get(ref: string, options: GetOptions): Promise<GetResult> {
    const { getRef } = await import('./operations/get.ts')
    const parts = {
      store: this.#store,
      references: this.#references,
      pins: this.#pins,
      targets: this.#targets,
      clock: systemClock,
      bootId: await readBootId(),
      network: async () => {
        const { bitswap, routing, host } = await this.#start()
        const isolated = this.network.bootstrap.length === 0 && this.#options.role === 'client'
        return { exchange: bitswap, routing, isolated, peerId: host.peerId }
      },
    }
    return await getRef(parts, ref, options)
  }

  async startNetwork(): Promise<void> {
    await this.#start()
  }

  startAnnouncing({ onAnnounced }: { onAnnounced: (event: { cid: string; peers: number }) => void }): void {
    if (this.#network === undefined) throw new P2PError('internal', 'Announcing needs the network')
    const { routing } = this.#network
    this.#announcing ??= import('../routing/provider.ts').then((module) => {
      if (this.#closed) return
      this.#provider = new module.Provider({
        roots: () => this.#roots(),
        routing,
        onAnnounced: ({ cid, peers }) => onAnnounced({ cid: cid.toString(), peers }),
        onError: (error) => this.#warn(`Announcing failed: ${error instanceof Error ? error.message : error}`),
      })
      this.#provider.start()
    })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#announcing
    await this.#provider?.stop()
    const network = await this.#starting?.catch(() => undefined)
    await network?.routing.close()
    await network?.host.stop()
    this.#references.close()
    await this.#repo.close()
  }

  /** What libp2p remembers between runs. In isolation nothing: a remembered peer would be dialled at the next start. */
  async #datastore(peerId: string) {
    if (this.network.bootstrap.length === 0) return undefined
    const { limitDhtRecords } = await import('../routing/dht-datastore.ts')
    return await limitDhtRecords(await this.#repo.database.datastore('libp2p'), { peerId })
  }

  #announce(cid: string): void {
    if (this.#provider === undefined) return
    void import('../dag/cid.ts').then(({ parseCid }) => this.#provider?.announce(parseCid(cid)))
  }

  async *#roots() {
    for await (const { cid } of this.#pins.list()) yield cid
  }

  #warn(message: string): void {
    this.#options.onProgress?.({ type: 'warning', message })
  }

  #start(): Promise<Network> {
    if (this.#closed) throw new P2PError('aborted', 'The node is closed')
    this.#starting ??= this.#startNow()
    return this.#starting
  }

  async #startNow(): Promise<Network> {
    const [{ createHost }, { DhtRouting, dhtServices }, { bitswap }, { pathOf }, privateKey] = await Promise.all([
      import('../net/host.ts'),
      import('../routing/dht.ts'),
      import('../bitswap/bitswap.ts'),
      import('../net/addresses.ts'),
      this.#repo.identity(),
    ])
    const { role, announce } = this.#options
    const { listen, limits, seed } = this.network
    let connect!: Host['connect']
    const buffers = new BufferPool(IDLE_BUFFER_BYTES)
    const host = await createHost({
      privateKey,
      datastore: await this.#datastore(privateKey.publicKey.toString()),
      listen,
      // What only asks listens where it can, and not where the settings say.
      mustListen: role === 'server',
      announce: announce ?? (role === 'server' ? this.#repo.config['addresses.announce'] : []),
      onWritten: (bytes) => buffers.give(bytes),
      services: {
        ...dhtServices(role),
        bitswap: bitswap({
          buffers,
          blockstore: seed ? this.#store : NOTHING,
          pathOf,
          connect: (source, options) => connect(source, options),
          limits: {
            upBytesPerSecond: limits.up ?? undefined,
            downBytesPerSecond: limits.down ?? undefined,
            lan: limits.lan,
          },
          onError: (message) => this.#warn(message),
        }),
      },
      onPortTaken: (from, to) => this.#warn(`${from} is taken by another program; listening on ${to}`),
      onListenFailed: (address, reason) => {
        this.#warn(`Cannot listen on ${address}: ${reason instanceof Error ? reason.message : reason}`)
      },
    })
    connect = host.connect
    const { lanDht, wanDht, bitswap: exchange } = host.libp2p.services
    const routing = new DhtRouting({ lan: lanDht, wan: wanDht, libp2p: host.libp2p })
    await host.start()
    this.#network = { host, bitswap: exchange, routing }
    host.dialBootstrap(this.network.bootstrap, {
      onUnreachable: (multiaddrs) => this.#warn(`Bootstrap peers out of reach: ${multiaddrs.join(', ')}`),
    })
    return this.#network
  }
}
