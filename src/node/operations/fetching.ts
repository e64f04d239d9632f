/**
 * Blocks for one operation: from the store, else from peers that are looked for when the first block is missing. Keeps
 * watch meanwhile, and ends the operation when there is no point in waiting any longer.
 */

import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../blockstore/blockstore.ts'
import { abortControllerForMany } from '../../common/abort.ts'
import type { Clock } from '../../common/clock.ts'
import { hasCode, P2PError } from '../../common/errors.ts'
import type { OnProgress } from '../../common/progress.ts'
import { formatDuration, KiB, MINUTE_MS } from '../../common/units.ts'
import type { BlockReader } from '../../dag/block.ts'
import { type Ref, sourcesOf } from '../../dag/ref.ts'
import { BlockService } from '../../exchange/blockservice.ts'
import type { Exchange, Session } from '../../exchange/exchange.ts'
import type { Routing } from '../../routing/routing.ts'
import type { FetchingOptions } from '../api/operation.ts'
import { Sources } from './sources.ts'

const DEFAULT_TIMEOUT_MS = MINUTE_MS
const WATCH_MS = 250
/** So many bytes show that a block is on its way. */
const LIFE_SIGN_BYTES = 64 * KiB

interface NetworkPart {
  exchange: Exchange
  routing: Routing
  /** Nobody is dialled but the peers that an operation names. */
  isolated: boolean
  peerId: string
}

export interface FetchingParts {
  store: BlockStore
  clock: Clock
  /** Starts the network. */
  network: () => Promise<NetworkPart>
}

/** What the operation itself does, as far as the watch has to know. */
export interface Watched {
  /** Called at every look; the first one before anything is fetched. */
  onLook?: (() => void) | undefined
  /** How far it has got, whoever gave what it needed: bytes, or whatever only grows. */
  done?: (() => number) | undefined
  /** A sentence that whoever has waited in vain is told besides. */
  hint?: string | undefined
  /** True while it waits for something else than blocks, as for whoever reads its output. */
  isBusy?: (() => boolean) | undefined
}

export class Fetching {
  /** Everything that is here or at others. Whatever waits for a block rejects when the fetching ends. */
  readonly blocks: BlockService
  /** The same for nodes: those that come from others stay in the store, if there is room, for the next look. */
  readonly nodes: BlockReader = {
    fetch: async (cid, options) => {
      const block = await this.blocks.fetch(cid, options)
      await this.keep(cid, block)
      return block
    },
  }
  readonly #parts: FetchingParts
  readonly #ref: Ref
  readonly #options: FetchingOptions
  readonly #watched: Watched
  readonly #abort = abortControllerForMany()
  readonly #onAbort = () => this.#abort.abort(this.#options.signal?.reason)
  readonly #onProgress: OnProgress
  readonly #watch: NodeJS.Timeout
  #opening: Promise<Session> | undefined
  #session: Session | undefined
  #exchange: Exchange | undefined
  #sources: Sources | undefined
  /** There was no room for a block, and looking for some takes long. */
  #isFull = false
  #lastDone = 0
  #lastReceivedBytes = 0
  #lastProgressAt: number

  /**
   * Begins to watch; has to be {@link close}d. @throws the signal's reason if it has aborted
   *
   * @param ref - what is looked for, and who is said to have it
   */
  constructor(parts: FetchingParts, ref: Ref, options: FetchingOptions, watched: Watched = {}) {
    options.signal?.throwIfAborted()
    this.#parts = parts
    this.#ref = ref
    this.#options = options
    this.#watched = watched
    this.#onProgress = options.onProgress ?? (() => {})
    this.#lastProgressAt = parts.clock.monotonicMs()
    this.blocks = new BlockService(parts.store, () => this.open())
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
    for (const text of ref.unusableProviders) {
      const message = `The provider "${text}" in the link is not the address of a peer, and is left out.`
      this.#onProgress({ type: 'warning', message })
    }
    this.#watch = setInterval(() => this.#look(), WATCH_MS)
  }

  /** Aborts when the caller's signal does, and with the reason when there is no point in going on. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Once the first block was missing. */
  get session(): Session | undefined {
    return this.#session
  }

  get exchange(): Exchange | undefined {
    return this.#exchange
  }

  get sources(): Sources | undefined {
    return this.#sources
  }

  /** The session with peers, opened now if it was not; undefined if nobody may be asked. */
  open(): Promise<Session> | undefined {
    if (this.#options.offline === true) return undefined
    this.#opening ??= this.#open()
    return this.#opening
  }

  /** Stores a block if it may have come from others, as long as there is room: nobody has asked to keep it. */
  async keep(cid: CID, block: Uint8Array): Promise<void> {
    if (this.#session === undefined || this.#isFull) return
    try {
      await this.#parts.store.put(cid, block)
    } catch (error) {
      if (!hasCode(error, 'disk-full')) throw error
      this.#isFull = true
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#watch)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    await this.#session?.close()
    this.#abort.abort(new P2PError('aborted', 'The operation has ended'))
  }

  async #open(): Promise<Session> {
    const { exchange, routing, isolated, peerId } = await this.#parts.network()
    this.#abort.signal.throwIfAborted()
    const sources = new Sources({
      root: this.#ref.cid,
      named: sourcesOf([...(this.#options.peers ?? []), ...this.#ref.providers]),
      routing,
      isolated,
      ownPeerId: peerId,
      signal: this.#abort.signal,
      onProgress: this.#onProgress,
    })
    const session = exchange.openSession({
      signal: this.#abort.signal,
      onEvent: (event) => sources.onSessionEvent(event),
    })
    this.#sources = sources
    this.#session = session
    this.#exchange = exchange
    this.#lastProgressAt = this.#parts.clock.monotonicMs()
    sources.start(session)
    return session
  }

  /** Ends the operation when there is no point in going on. */
  #look(): void {
    const { onLook, done = () => 0, isBusy = () => false } = this.#watched
    onLook?.()
    if (this.#session === undefined) return
    const now = this.#parts.clock.monotonicMs()
    const stats = this.#session.stats()
    const doneNow = stats.bytes + done()
    // A large block may take long on a slow link, and whoever reads the output may take a break.
    const isComing = stats.receivedBytes - this.#lastReceivedBytes >= LIFE_SIGN_BYTES
    if (doneNow > this.#lastDone || isComing || isBusy()) {
      this.#lastDone = doneNow
      this.#lastReceivedBytes = stats.receivedBytes
      this.#lastProgressAt = now
    }
    const timeoutMs = this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    if (now - this.#lastProgressAt >= timeoutMs) {
      const why = this.#sources?.describeWait() ?? 'the network did not start'
      this.#abort.abort(
        new P2PError('timeout', `No new data for ${formatDuration(timeoutMs)}: ${why}`, {
          hint: `${this.#watched.hint ?? ''} --timeout changes how long to wait.`.trimStart(),
        }),
      )
      return
    }
    const failure = isBusy() ? undefined : this.#sources?.failure({ hasData: stats.blocks > 0 })
    if (failure !== undefined) this.#abort.abort(failure)
  }
}
