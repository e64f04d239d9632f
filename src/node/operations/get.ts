/**
 * `get`: a reference to a file, a folder or a stream. Opens one session and one output, resolves the path, lets the
 * exporter run between them, and keeps watch: over progress, over sources, over the time without either.
 */

import { basename, join } from 'node:path'
import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../blockstore/blockstore.ts'
import type { References } from '../../blockstore/references.ts'
import type { Clock } from '../../common/clock.ts'
import { P2PError } from '../../common/errors.ts'
import type { KeyedLock } from '../../common/keyed-lock.ts'
import type { GetPhase, HeldBackBy, OnProgress } from '../../common/progress.ts'
import { formatDuration, KiB, MINUTE_MS, MiB, SECOND_MS } from '../../common/units.ts'
import type { BlockReader } from '../../dag/block.ts'
import { blockKey } from '../../dag/cid.ts'
import { linksOf } from '../../dag/links.ts'
import { parseRef, type Ref, sourcesOf } from '../../dag/ref.ts'
import { BlockService } from '../../exchange/blockservice.ts'
import type { Exchange, Session, SessionStats } from '../../exchange/exchange.ts'
import { finishedFileBytes } from '../../files/finished-file.ts'
import { type Output, openOutput } from '../../files/output.ts'
import { safeEntryName, suggestedFileName } from '../../files/safe-name.ts'
import { StreamOutput } from '../../files/stream-output.ts'
import { ensureFolder } from '../../files/target.ts'
import { completeDag } from '../../pin/complete-dag.ts'
import type { Hold } from '../../pin/hold.ts'
import type { Pins } from '../../pin/pins.ts'
import type { Routing } from '../../routing/routing.ts'
import { type ExportProgress, exportTree } from '../../unixfs/exporter.ts'
import { resolvePath } from '../../unixfs/path.ts'
import type { GetOptions, GetResult, GetTarget } from '../api.ts'
import { heldBackBy, type LoadSample } from './bottleneck.ts'
import { Sources } from './sources.ts'

const DEFAULT_TIMEOUT_MS = MINUTE_MS
const REPORT_MS = 250
/** A record in the DHT outlives its download by two days, and sends others to a node that has gone. */
const MIN_ANNOUNCED_BYTES = 16 * MiB
/** So many bytes show that a block is on its way. */
const LIFE_SIGN_BYTES = 64 * KiB
/** What is shown is that of the last few seconds. */
const RATE_WINDOW_MS = 5 * SECOND_MS

export interface GetParts {
  store: BlockStore
  references: References
  pins: Pick<Pins, 'add' | 'holding'>
  /** Two downloads to one target, which is what they build under the same name beside it, take turns. */
  targets: KeyedLock
  clock: Clock
  bootId: string
  /** Starts the network when the first block is missing here. */
  network: () => Promise<{ exchange: Exchange; routing: Routing; isolated: boolean; peerId: string }>
}

/** @throws P2PError as `Api.get` says */
export async function getRef(parts: GetParts, text: string, options: GetOptions): Promise<GetResult> {
  return await parts.pins.holding((hold) => new Get(parts, parseRef(text), options, hold).run())
}

class Get {
  readonly #parts: GetParts
  readonly #ref: Ref
  readonly #options: GetOptions
  readonly #hold: Hold
  readonly #abort = new AbortController()
  readonly #startedAt: number
  readonly #onProgress: OnProgress
  #session: Promise<Session> | undefined
  #openSession: Session | undefined
  #exchange: Exchange | undefined
  /** Each download begins elsewhere, so that those who run at the same time soon have different parts to trade. */
  readonly #beginning = Math.random()
  #sources: Sources | undefined
  #exported: ExportProgress = { bytes: 0, totalBytes: null, queuedBytes: 0 }
  #phase: GetPhase = 'connecting'
  #lastVerifiedBytes = 0
  #lastReceivedBytes = 0
  #stream: StreamOutput | undefined
  #lastProgressAt: number
  readonly #samples: { atMs: number; bytes: number }[] = []
  /** Since content is being downloaded. */
  readonly #loads: LoadSample[] = []

  constructor(parts: GetParts, ref: Ref, options: GetOptions, hold: Hold) {
    this.#parts = parts
    this.#hold = hold
    this.#ref = ref
    this.#options = options
    this.#onProgress = options.onProgress ?? (() => {})
    this.#startedAt = parts.clock.monotonicMs()
    this.#lastProgressAt = this.#startedAt
  }

  async run(): Promise<GetResult> {
    const { signal } = this.#options
    signal?.throwIfAborted()
    const onAbort = () => this.#abort.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    for (const text of this.#ref.unusableProviders) {
      const message = `The provider "${text}" in the link is not the address of a peer, and is left out.`
      this.#onProgress({ type: 'warning', message })
    }
    const watch = setInterval(() => this.#watch(), REPORT_MS)
    try {
      return await this.#fetchAll()
    } finally {
      clearInterval(watch)
      signal?.removeEventListener('abort', onAbort)
      await this.#openSession?.close()
      this.#abort.abort(new P2PError('aborted', 'The download has ended'))
    }
  }

  async #fetchAll(): Promise<GetResult> {
    // Where the result goes is looked at before anything is fetched.
    const target = await this.#place()
    if (target === undefined) return await this.#fetchTo(target)
    const { targets } = this.#parts
    if (targets.isBusy(target)) {
      this.#onProgress({ type: 'note', message: `Waiting for another download to ${target} to end.` })
    }
    const release = await targets.take(target, { signal: this.#abort.signal })
    try {
      return await this.#fetchTo(target)
    } finally {
      release()
    }
  }

  async #fetchTo(target: string | undefined): Promise<GetResult> {
    const { cid, path } = this.#ref
    const blocks = new BlockService(this.#parts.store, () => this.#connect())
    const root = await resolvePath(cid, path, blocks, { signal: this.#abort.signal })
    if (target !== undefined && (await this.#isFinished(root, target))) {
      await this.#complete(root, blocks)
      await this.#keep(root, target, { isPartial: false })
      this.#report()
      return this.#result(root, target, [])
    }
    const output = await this.#openOutput(target, root)
    try {
      await this.#export(root, blocks, output)
      this.#phase = 'finishing'
      if (!(output instanceof StreamOutput)) await output.finish()
      if (target !== undefined || this.#options.copy === true) {
        const isPartial = output.skipped.length > 0
        if (isPartial && this.#options.pin === true) await this.#complete(root, blocks)
        await this.#keep(root, target, { isPartial })
      }
    } finally {
      if (!(output instanceof StreamOutput)) await output.close()
    }
    this.#report()
    return this.#result(root, target, output.skipped)
  }

  /** Whether the holder that this was asked of before had finished, and could not say so any more. */
  async #isFinished(root: CID, path: string): Promise<boolean> {
    if (this.#options.resumed !== true) return false
    const bytes = await finishedFileBytes(this.#parts.references, { path, root })
    if (bytes === undefined) return false
    this.#phase = 'finishing'
    this.#exported = { bytes, totalBytes: bytes, queuedBytes: 0 }
    return true
  }

  async #export(root: CID, blocks: BlockService, output: Output | StreamOutput): Promise<void> {
    this.#phase = 'metadata'
    const reader = this.#options.copy === true ? this.#copying(blocks) : blocks
    await exportTree(root, output, {
      nodes: reader,
      leaves: reader,
      release: (leaf) => blocks.release(leaf),
      onNode: (cid, block) => this.#storeNode(cid, block),
      onFailure: () => {
        void this.#openSession?.close()
        if (output instanceof StreamOutput) output.cancel(new P2PError('aborted', 'The download has failed'))
      },
      checkName: safeEntryName,
      firstLeaf: output instanceof StreamOutput ? undefined : (leaves) => Math.floor(this.#beginning * leaves),
      onProgress: (progress) => {
        this.#exported = progress
        if (progress.totalBytes !== null) this.#phase = 'downloading'
        this.#announce(progress)
      },
      signal: this.#abort.signal,
    })
    this.#abort.signal.throwIfAborted()
  }

  async #storeNode(cid: CID, block: Uint8Array): Promise<void> {
    await this.#hold.add([cid, ...linksOf(cid, block)])
    await this.#parts.store.put(cid, block)
    this.#exchange?.blockStored(blockKey(cid), block.byteLength)
  }

  /** Tells others that they can have it from here too, unless it will be over before they have come. */
  #announce({ totalBytes }: ExportProgress): void {
    const { seed = true, target } = this.#options
    // What goes to a stream is not kept.
    if (!seed || target.kind === 'stream') return
    if (totalBytes === null || totalBytes >= MIN_ANNOUNCED_BYTES) this.#sources?.announce()
  }

  /** Leaves go into the store as well. */
  #copying(blocks: BlockReader): BlockReader {
    return {
      fetch: async (cid, options) => {
        const block = await blocks.fetch(cid, options)
        await this.#hold.over(this.#parts.store).put(cid, block)
        return block
      },
    }
  }

  /** What is here now is served and announced from the user's file, until it is removed or changed, or from the copy. */
  async #keep(root: CID, target: string | undefined, { isPartial }: { isPartial: boolean }): Promise<void> {
    await this.#hold.add([root])
    await this.#parts.store.sync()
    const kind = this.#options.pin === true ? 'recursive' : 'kept'
    const name = target === undefined ? undefined : basename(target)
    const bytes = this.#exported.bytes
    await this.#parts.pins.add(
      { cid: root, ...(name && { name }), bytes, kind, ...(isPartial && { isPartial }) },
      this.#hold,
    )
  }

  /** Fetches what the result leaves out, so that the whole can be pinned. */
  async #complete(root: CID, reader: BlockReader): Promise<void> {
    const { store } = this.#parts
    const hasLeaf = (cid: CID) => store.has(cid)
    await completeDag(root, { hold: this.#hold, store, hasLeaf, reader, signal: this.#abort.signal })
  }

  /** The final path, or undefined for a stream. */
  async #place(): Promise<string | undefined> {
    const { target } = this.#options
    if (target.kind === 'stream') return undefined
    const path = pathOf(target, this.#ref)
    if (target.kind === 'inside') await ensureFolder(target.folder)
    return path
  }

  async #openOutput(target: string | undefined, root: CID): Promise<Output | StreamOutput> {
    const { target: wanted, force = false, copy = false, pin = false, onProgress } = this.#options
    if (wanted.kind === 'stream') {
      this.#stream = new StreamOutput(wanted.write, wanted.offset)
      return this.#stream
    }
    const { references, bootId } = this.#parts
    const output = await openOutput({
      target: target!,
      root,
      force,
      references,
      bootId,
      rewrite: copy,
      syncAll: pin && !copy,
      onNoted: (key, blockBytes) => this.#exchange?.blockStored(key, blockBytes),
    })
    if (output.resumes) onProgress?.({ type: 'note', message: `Resuming ${basename(target!)}.` })
    return output
  }

  #connect(): Promise<Session> | undefined {
    if (this.#options.offline === true) return undefined
    this.#session ??= this.#connectNow()
    return this.#session
  }

  async #connectNow(): Promise<Session> {
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
    this.#openSession = session
    this.#samples.length = 0
    this.#exchange = exchange
    this.#lastProgressAt = this.#parts.clock.monotonicMs()
    sources.start(session)
    return session
  }

  /** Reports, and ends the download when there is no point in going on. */
  #watch(): void {
    this.#report()
    const session = this.#openSession
    if (session === undefined || this.#phase === 'finishing') return
    const now = this.#parts.clock.monotonicMs()
    const stats = session.stats()
    const verifiedBytes = stats.bytes + this.#exported.bytes
    // A large block may take long on a slow link, and whoever reads a stream may take a break.
    const isComing = stats.receivedBytes - this.#lastReceivedBytes >= LIFE_SIGN_BYTES
    if (verifiedBytes > this.#lastVerifiedBytes || isComing || this.#stream?.isBlocked === true) {
      this.#lastVerifiedBytes = verifiedBytes
      this.#lastReceivedBytes = stats.receivedBytes
      this.#lastProgressAt = now
    }
    const timeoutMs = this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    if (now - this.#lastProgressAt >= timeoutMs) {
      const why = this.#sources?.describeWait() ?? 'the network did not start'
      this.#abort.abort(
        new P2PError('timeout', `No new data for ${formatDuration(timeoutMs)}: ${why}`, {
          hint: 'What was verified is kept: the same command goes on from there. --timeout changes how long to wait.',
        }),
      )
      return
    }
    const failure = this.#sources?.failure({ hasData: stats.blocks > 0 })
    if (failure !== undefined) this.#abort.abort(failure)
  }

  #report(): void {
    const stats = this.#openSession?.stats()
    const { bytes, totalBytes } = this.#exported
    // What an earlier run has left is no speed.
    const rate = this.#rate(stats?.bytes ?? bytes)
    this.#onProgress({
      type: 'progress',
      phase: this.#currentPhase(stats),
      bytes,
      totalBytes,
      bytesPerSecond: rate,
      etaSeconds: totalBytes === null || rate === 0 ? null : Math.ceil((totalBytes - bytes) / rate),
      duplicateBytes: stats?.duplicateBytes ?? 0,
      heldBackBy: this.#heldBackBy(stats),
      peers: (stats?.peers ?? []).map(({ rttMs, ...peer }) => ({ ...peer, rttMs: rttMs ?? null })),
    })
  }

  #currentPhase(stats: SessionStats | undefined): GetPhase {
    if (this.#phase === 'finishing' || stats === undefined) return this.#phase
    if (stats.peers.some(({ connected }) => connected)) {
      return this.#phase === 'connecting' ? 'metadata' : this.#phase
    }
    return this.#sources?.searching === true ? 'finding-providers' : 'connecting'
  }

  #rate(bytes: number): number {
    const atMs = this.#parts.clock.monotonicMs()
    addToWindow(this.#samples, { atMs, bytes })
    const first = this.#samples[0]!
    return atMs > first.atMs ? ((bytes - first.bytes) / (atMs - first.atMs)) * SECOND_MS : 0
  }

  #heldBackBy(stats: SessionStats | undefined): HeldBackBy | null {
    if (this.#phase !== 'downloading' || stats === undefined) return null
    addToWindow(this.#loads, {
      atMs: this.#parts.clock.monotonicMs(),
      inFlightBytes: stats.peers.reduce((sum, peer) => sum + peer.inFlightBytes, 0),
      // In a stream most of it waits for what comes before it.
      queuedWriteBytes: this.#stream?.isBlocked === false ? 0 : this.#exported.queuedBytes,
      hashMs: stats.hashMs,
      limitMs: stats.limitMs,
    })
    return heldBackBy(this.#loads)
  }

  #result(root: CID, target: string | undefined, skipped: GetResult['skipped']): GetResult {
    const stats = this.#openSession?.stats()
    return {
      cid: root.toString(),
      path: target ?? null,
      skipped,
      stats: {
        bytes: this.#exported.bytes,
        receivedBytes: stats?.receivedBytes ?? 0,
        duplicateBytes: stats?.duplicateBytes ?? 0,
        blocks: stats?.blocks ?? 0,
        seconds: (this.#parts.clock.monotonicMs() - this.#startedAt) / SECOND_MS,
        peers: (stats?.peers ?? []).map(({ peerId, multiaddr, path, bytes, blocks }) => ({
          peerId,
          multiaddr,
          path,
          bytes,
          blocks,
        })),
      },
    }
  }
}

function addToWindow<T extends { atMs: number }>(samples: T[], sample: T): void {
  samples.push(sample)
  while (samples.length > 2 && sample.atMs - samples[0]!.atMs > RATE_WINDOW_MS) samples.shift()
}

function pathOf(target: Exclude<GetTarget, { kind: 'stream' }>, ref: Ref): string {
  if (target.kind === 'path') return target.path
  const name = ref.filename ?? ref.path.at(-1)
  return join(target.folder, name === undefined ? ref.cid.toString() : suggestedFileName(name))
}
