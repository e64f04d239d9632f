/**
 * Joins the parts into a node: the one place that knows the concrete classes and turns settings into their options.
 * Called by the command line and by `daemon/serve.ts`. The network's code is loaded when the network starts.
 */

import type { BlockStore } from '../blockstore/blockstore.ts'
import { DiskBlockStore } from '../blockstore/disk-blockstore.ts'
import { LocalBlockStore } from '../blockstore/local-blockstore.ts'
import { References } from '../blockstore/references.ts'
import { StoreUsage } from '../blockstore/store-usage.ts'
import { systemClock } from '../common/clock.ts'
import { messageOf, P2PError } from '../common/errors.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import type { OnProgress } from '../common/progress.ts'
import { formatBytes } from '../common/units.ts'
import { Collector } from '../pin/collector.ts'
import { ImportMemory } from '../pin/import-memory.ts'
import { Pins } from '../pin/pins.ts'
import { readBootId } from '../repo/boot-id.ts'
import type { RepoLocation } from '../repo/location.ts'
import { openRepo, type Repo } from '../repo/repo.ts'
import type { Provider } from '../routing/provider.ts'
import type {
  AddOptions,
  AddResult,
  AddSource,
  Api,
  GetOptions,
  GetResult,
  OperationName,
  OptionsOf,
  ResultOf,
} from './api.ts'
import { MIGRATIONS } from './migrations.ts'
import { NodeNetwork } from './network.ts'
import { type NetworkOptions, type NetworkSettings, networkSettings } from './network-settings.ts'
import { OPERATIONS } from './operations.ts'
import type { NodeParts } from './parts.ts'

export interface NodeOptions extends NetworkOptions {
  location: RepoLocation
  /** The command as others read it who find the repo held: `p2p serve`. */
  command: string
  /** How long to wait for a repo that another process holds, in milliseconds. */
  holdTimeoutMs: number
  /** Refuse to make a repo where there is none. Default false. */
  repoMustExist?: boolean | undefined
  /** Multiaddrs told to others instead of those listened on; undefined: those of the settings. */
  announce?: string[] | undefined
  /** A `server` answers in the LAN DHT too; a `client` only asks. */
  role: 'server' | 'client'
  /** Of the program, as `status` tells it. */
  version?: string | undefined
  /** Called when `p2p stop` asks this process to end; left out, it is not asked. */
  onStop?: (() => void) | undefined
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
  const { location, command, holdTimeoutMs, repoMustExist, signal, onProgress } = options
  const repo = await openRepo({
    location,
    migrations: MIGRATIONS,
    command,
    waitMs: holdTimeoutMs,
    mustExist: repoMustExist,
    signal,
    onWait: (message) => onProgress?.({ type: 'note', message }),
  })
  try {
    const bootId = await readBootId()
    const warn = (message: string) => onProgress?.({ type: 'warning', message })
    return new LocalNode(options, { repo, bootId, ...(await openStores(repo, bootId, warn)) })
  } catch (error) {
    await repo.close()
    throw error
  }
}

interface Stores {
  store: BlockStore
  blocks: DiskBlockStore
  references: References
  pins: Pins
  memory: ImportMemory
  usage: StoreUsage
  collector: Collector
}

async function openStores(repo: Repo, bootId: string, warn: (message: string) => void): Promise<Stores> {
  const { database, config } = repo
  const usage = await StoreUsage.open(database.space('usage'), bootId)
  const maxBytes = config['store.maxSize']
  const pins = new Pins(database, systemClock)
  let collector: Collector
  let memory: ImportMemory
  const blocks = await DiskBlockStore.open(repo.blocksDir, database, {
    isAwaited: (key) => pins.isInUse(key),
    beforeSetAside: () => memory.forget(),
    onCorrupt: (cid) => warn(`Block ${cid} was damaged on this disk: it is set aside, and counts as not here.`),
    onUnreadable: (error) =>
      warn(`${error.message}: what was stored there last, and is not pinned, counts as not here.`),
    onChange: usage.change,
    reserve: maxBytes === null ? undefined : (bytes, options) => collector.reserve(bytes, options),
  })
  const references = new References(database, {
    onLost: (path) => warn(`${path} was changed, moved or removed: it is not served any more`),
  })
  const store = new LocalBlockStore(blocks, references)
  memory = new ImportMemory({ database, pins, store, clock: systemClock })
  const parts = { blocks, references, store, pins, memory }
  collector = new Collector(parts, {
    quota: { maxBytes, highWater: config['store.highWater'] / 100, lowWater: config['store.lowWater'] / 100 },
    usage,
    onCollected: ({ bytes, evicted }) => {
      const given = evicted > 0 ? `, and ${evicted} of the downloads are not served any more` : ''
      warn(`The store was above its mark: ${formatBytes(bytes)} were removed${given}.`)
    },
    onError: (error) => warn(`Collecting garbage failed: ${messageOf(error)}`),
  })
  return { ...parts, usage, collector }
}

class LocalNode implements Node {
  readonly network: NetworkSettings
  readonly #parts: NodeParts
  readonly #network: NodeNetwork
  readonly #warn: (message: string) => void
  #provider: Provider | undefined
  #announcing: Promise<void> | undefined
  #closed = false

  constructor(options: NodeOptions, stores: Stores & { repo: Repo; bootId: string }) {
    const { role, announce, onProgress, command, version = 'unknown', onStop } = options
    const { repo, store } = stores
    this.#warn = (message) => onProgress?.({ type: 'warning', message })
    this.network = networkSettings(options, repo.config)
    this.#network = new NodeNetwork({ repo, store, settings: this.network, role, announce, onWarning: this.#warn })
    this.#parts = {
      holder: { command, version, role, sinceMs: systemClock.wallMs(), stop: onStop },
      ...stores,
      targets: new KeyedLock(),
      clock: systemClock,
      settings: this.network,
      network: () => this.#network.start(),
      startedNetwork: () => this.#network.started,
      provider: () => this.#provider,
    }
  }

  get peerId(): string {
    return this.#network.started?.peerId ?? ''
  }

  multiaddrs(): string[] {
    return this.#network.started?.host.multiaddrs() ?? []
  }

  async add(sources: AddSource[], options?: AddOptions): Promise<AddResult> {
    const { addSources } = await import('./operations/add.ts')
    const result = await addSources(this.#parts, sources, options)
    for (const { cid } of result.roots) await this.#announce(cid)
    await this.#parts.collector.relieve(options)
    return { ...result, servedAt: await this.#servedAt() }
  }

  async get(ref: string, options: GetOptions): Promise<GetResult> {
    const { getRef } = await import('./operations/get.ts')
    const result = await getRef(this.#parts, ref, options)
    const { target, copy = false, pin = false } = options
    const isKept = target.kind !== 'stream' || copy
    if (isKept && (pin || this.#announcesDownloads)) await this.#announce(result.cid)
    await this.#parts.collector.relieve(options)
    return result
  }

  async run<Name extends OperationName>(name: Name, options: OptionsOf<Name>): Promise<ResultOf<Name>> {
    options.signal?.throwIfAborted()
    return await OPERATIONS[name].run(this.#parts, options)
  }

  /** Where others fetch what this node announces. */
  async #servedAt(): Promise<string[]> {
    if (this.#provider === undefined) return []
    const { dialableByOthers } = await import('../net/addresses.ts')
    return dialableByOthers(this.multiaddrs())
  }

  async startNetwork(): Promise<void> {
    await this.#network.start()
  }

  startAnnouncing({ onAnnounced }: { onAnnounced: (event: { cid: string; peers: number }) => void }): void {
    const network = this.#network.started
    if (network === undefined) throw new P2PError('internal', 'Announcing needs the network')
    this.#announcing ??= import('../routing/provider.ts').then((module) => {
      if (this.#closed) return
      this.#provider = new module.Provider({
        roots: () => this.#roots(),
        routing: network.routing,
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
    await this.#network.close()
    const { collector, blocks, references, usage, repo } = this.#parts
    await collector.close()
    await blocks.close()
    references.close()
    // It only saves the next run counting.
    await usage.close().catch(() => {})
    await repo.close()
  }

  get #announcesDownloads(): boolean {
    return this.#parts.repo.config['seed.downloads']
  }

  /** Tells of a root that is new, which otherwise the next round would do. */
  async #announce(cid: string): Promise<void> {
    if (this.#provider === undefined) return
    const { parseCid } = await import('../dag/cid.ts')
    this.#provider.announce(parseCid(cid))
  }

  async *#roots() {
    for await (const { cid, kind, blockBytes } of this.#parts.pins.list()) {
      if (kind !== 'kept' || blockBytes !== undefined || this.#announcesDownloads) yield cid
    }
  }
}
