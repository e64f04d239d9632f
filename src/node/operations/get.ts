/**
 * `get`: a reference to a file, a folder or a stream. Opens one session and one output, resolves the path, lets the
 * exporter run between them, and keeps watch: over progress, over sources, over the time without either.
 */

import { basename, join } from 'node:path'
import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../blockstore/blockstore.ts'
import type { References } from '../../blockstore/references.ts'
import { collectGarbageSoon } from '../../common/collect-garbage.ts'
import { P2PError } from '../../common/errors.ts'
import type { KeyedLock } from '../../common/keyed-lock.ts'
import type { GetPhase, HeldBackBy, OnProgress } from '../../common/progress.ts'
import { GiB, MiB, SECOND_MS } from '../../common/units.ts'
import type { BlockReader } from '../../dag/block.ts'
import { BlockSet } from '../../dag/block-set.ts'
import { blockKey } from '../../dag/cid.ts'
import { codecName } from '../../dag/codecs.ts'
import { parseRef, type Ref } from '../../dag/ref.ts'
import type { BlockService } from '../../exchange/blockservice.ts'
import type { SessionStats } from '../../exchange/exchange.ts'
import { findFinishedResult } from '../../files/finished-result.ts'
import { Output, openOutput } from '../../files/output.ts'
import { safeEntryName, suggestedFileName } from '../../files/safe-name.ts'
import { SkippedEntries } from '../../files/skipped-entries.ts'
import { StoreOutput } from '../../files/store-output.ts'
import { StreamOutput } from '../../files/stream-output.ts'
import { ensureFolder, requireFolderOf } from '../../files/target.ts'
import { completeDag } from '../../pin/complete-dag.ts'
import type { Hold } from '../../pin/hold.ts'
import type { NewPin, Pins } from '../../pin/pins.ts'
import { type ExportProgress, exportTree } from '../../unixfs/exporter.ts'
import { resolvePath } from '../../unixfs/path.ts'
import type { FetchingOptions } from '../api/operation.ts'
import type { GetOptions, GetResult, GetTarget } from '../api.ts'
import { heldBackBy, type LoadSample } from './bottleneck.ts'
import { Fetching, type FetchingParts } from './fetching.ts'

/**
 * A record in the DHT outlives its download by two days, and sends others to a node that has gone: only what has run for
 * a while and has as long to go is announced.
 */
const ANNOUNCE_AFTER_MS = 1.5 * SECOND_MS
const ANNOUNCED_IF_LEFT_MS = 10 * SECOND_MS
/** Where nothing has come for a while, with so much to go. */
const ANNOUNCED_BYTES = 16 * MiB
/** Content that leaves a few megabytes of garbage. */
const COLLECT_EVERY_BYTES = GiB
/** What is shown is that of the last few seconds. */
const RATE_WINDOW_MS = 5 * SECOND_MS
/** What was measured over less says little. */
const MIN_RATE_SPAN_MS = SECOND_MS

const KEPT_HINT = 'What was verified is kept: the same command goes on from there.'

export interface GetParts extends FetchingParts {
  references: References
  pins: Pick<Pins, 'add' | 'has' | 'holding' | 'touch'>
  /** Two downloads to one target, which is what they build under the same name beside it, take turns. */
  targets: KeyedLock
  bootId: string
}

/** @throws P2PError as `Api.get` says */
export async function getRef(
  parts: GetParts,
  text: string,
  options: Options<GetTarget | PartTarget>,
): Promise<GetResult> {
  return await parts.pins.holding((hold) => new Get(parts, parseRef(text), options, hold).run())
}

/**
 * Pins a reference: fetches it into the store instead of a file. What lies in files of the user is copied, and what is in
 * the store put again to make it durable, unless the root is pinned already.
 *
 * @throws P2PError as `pin-add` of `Api.run`
 */
export async function pinRef(
  parts: GetParts & { pins: Pick<Pins, 'get'> },
  text: string,
  { name, ...options }: FetchingOptions & { name?: string | undefined },
): Promise<GetResult> {
  const ref = parseRef(text)
  const { pins, store } = parts
  const durable = async (root: CID) => ((await pins.get(root))?.kind === 'recursive' ? store : NOTHING)
  const names = { name, suggestedName: ref.filename ?? ref.path.at(-1) }
  const target: Destination = { kind: 'store', names, durable }
  return await pins.holding((hold) => new Get(parts, ref, { ...options, target, copy: true, pin: true }, hold).run())
}

/** Knows the blocks that are here and survive a power cut. */
type Durable = Pick<BlockStore, 'size'>

const NOTHING: Durable = { size: async () => undefined }

/** Where it goes: as the caller of `get` says, or all of it into the store. */
type Destination =
  | GetTarget
  | PartTarget
  | {
      kind: 'store'
      names: Pick<NewPin, 'name' | 'suggestedName'>
      durable: (root: CID) => Promise<Durable>
    }

type AnyOutput = Output | StreamOutput | StoreOutput

/** To a stream, and of it so many bytes at most. */
type PartTarget = Extract<GetTarget, { kind: 'stream' }> & { length: number | undefined }

type Options<Target = Destination> = Omit<GetOptions, 'target'> & { target: Target }

class Get {
  readonly #parts: GetParts
  readonly #ref: Ref
  readonly #options: Options
  readonly #hold: Hold
  readonly #startedAt: number
  readonly #onProgress: OnProgress
  readonly #fetching: Fetching
  #exported: ExportProgress = { bytes: 0, totalBytes: null, queuedBytes: 0 }
  #phase: GetPhase = 'connecting'
  #stream: StreamOutput | undefined
  /** When a block had come from others at the latest. */
  #firstDataAt: number | undefined
  readonly #samples: { atMs: number; bytes: number }[] = []
  #hasSession = false
  /** Some of it is in place, by this run or an earlier one. */
  #hasContent = false
  /** Blocks that were put: the next sync covers them. */
  readonly #copied = new BlockSet()
  /** Blocks that may link to others which are no part of the result. */
  #hasOpaque = false
  /** Since content is being downloaded. */
  readonly #loads: LoadSample[] = []

  constructor(parts: GetParts, ref: Ref, options: Options, hold: Hold) {
    this.#parts = parts
    this.#hold = hold
    this.#ref = ref
    this.#options = options
    this.#onProgress = options.onProgress ?? (() => {})
    this.#startedAt = parts.clock.monotonicMs()
    this.#fetching = new Fetching(parts, ref, options, {
      onLook: () => this.#report(),
      done: () => this.#exported.bytes,
      hint: options.target.kind === 'stream' ? undefined : KEPT_HINT,
      isBusy: () => this.#phase === 'finishing' || this.#stream?.isBlocked === true,
    })
  }

  async run(): Promise<GetResult> {
    try {
      return await this.#fetchAll()
    } finally {
      await this.#fetching.close()
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
    const release = await targets.take(target, { signal: this.#fetching.signal })
    try {
      return await this.#fetchTo(target)
    } finally {
      release()
    }
  }

  async #fetchTo(target: string | undefined): Promise<GetResult> {
    const { cid, path } = this.#ref
    const { blocks, signal } = this.#fetching
    // The way to it is stored as well, so that the same command finds it without others.
    const root = await resolvePath(cid, path, this.#copying(blocks), { signal })
    await this.#hold.add([root])
    if (this.#options.target.kind === 'stream') await this.#parts.pins.touch(root)
    if (target !== undefined && (await this.#isFinished(root, target))) {
      await this.#complete(root, blocks)
      await this.#keep(root, target, { isPartial: false })
      this.#report()
      return this.#result(root, target, new SkippedEntries())
    }
    const output = await this.#openOutput(target, root)
    try {
      await this.#export(root, blocks, output)
      // Of a stream nothing stays that would have to be made safe.
      if (output instanceof Output || this.#options.copy === true) this.#phase = 'finishing'
      if (output instanceof Output) await output.finish()
      if (target !== undefined || this.#options.copy === true) {
        const isPartial = output.skipped.count > 0 || this.#hasOpaque
        if (output instanceof StoreOutput || (isPartial && this.#options.pin === true)) {
          await this.#complete(root, blocks)
        }
        await this.#keep(root, target, { isPartial })
      }
    } finally {
      if (output instanceof Output) await output.close()
    }
    this.#report()
    return this.#result(root, target, output.skipped)
  }

  /** Whether a run of the same download, which ended before it could say so, had finished. */
  async #isFinished(root: CID, target: string): Promise<boolean> {
    const { references, pins, bootId } = this.#parts
    const { force, resumed } = this.#options
    // Who wants it replaced may know that it is damaged.
    if (force === true && resumed !== true) return false
    const finished = await findFinishedResult(references, { target, root, bootId })
    if (finished === undefined) return false
    // What an earlier command has told as done is something that stands in the way of this one.
    if (finished.isNoted && resumed !== true && (await pins.has(root))) return false
    this.#phase = 'finishing'
    this.#exported = { bytes: finished.bytes, totalBytes: finished.bytes, queuedBytes: 0 }
    this.#onProgress({ type: 'note', message: `${basename(target)} is complete already.` })
    return true
  }

  async #export(root: CID, blocks: BlockService, output: AnyOutput): Promise<void> {
    this.#phase = 'metadata'
    const reader = this.#options.copy === true ? this.#copying(blocks) : blocks
    const beginning = output instanceof Output ? output.beginning : Math.random()
    await exportTree(root, output, {
      nodes: reader,
      leaves: reader,
      release: (leaf) => blocks.release(leaf),
      isLocal: () => this.#fetching.session === undefined,
      onNode: (cid, block, links) => this.#storeNode(cid, block, links),
      onFailure: () => {
        void this.#fetching.session?.close()
        if (output instanceof StreamOutput) output.cancel(new P2PError('aborted', 'The download has failed'))
      },
      onOpaque: (entryPath, opaque) => this.#onOpaque(entryPath, opaque),
      checkName: output instanceof StoreOutput ? () => {} : safeEntryName,
      firstLeaf: output instanceof StreamOutput ? undefined : (leaves) => Math.floor(beginning * leaves),
      onProgress: (progress) => {
        // Half-way through each of them, so that it is not done where most sizes end.
        const rounds = ({ bytes }: { bytes: number }) => Math.round(bytes / COLLECT_EVERY_BYTES)
        if (rounds(progress) > rounds(this.#exported)) collectGarbageSoon()
        this.#exported = progress
        if (progress.totalBytes !== null) this.#phase = 'downloading'
      },
      range: this.#stream?.range,
      signal: this.#fetching.signal,
    })
    this.#fetching.signal.throwIfAborted()
  }

  async #storeNode(cid: CID, block: Uint8Array, links: CID[]): Promise<void> {
    await this.#hold.add([cid, ...links])
    await this.#parts.store.put(cid, block)
    this.#fetching.exchange?.blockStored(blockKey(cid), block.byteLength)
  }

  #onOpaque(path: readonly string[], cid: CID): void {
    // What is pinned is whole; all else says so itself.
    if (this.#options.target.kind === 'store') return
    this.#hasOpaque = true
    const what = path.length === 0 ? `${cid}` : `"${path.join('/')}"`
    const message = `${what} is a ${codecName(cid.code)} block, not a file or folder: its bytes are saved as they are`
    this.#onProgress({ type: 'note', message: `${message}, and what it links to is not.` })
  }

  /** Tells others that they can have it from here too, unless it will be over before they have come. */
  #announceIfItLasts(etaSeconds: number | null): void {
    const { seed = true, target } = this.#options
    // What goes to a stream is not kept.
    if (!seed || target.kind === 'stream') return
    const now = this.#parts.clock.monotonicMs()
    this.#firstDataAt ??= now
    if (now - this.#firstDataAt < ANNOUNCE_AFTER_MS) return
    const { bytes, totalBytes } = this.#exported
    const isLong =
      totalBytes === null ||
      (etaSeconds === null ? totalBytes - bytes >= ANNOUNCED_BYTES : etaSeconds * SECOND_MS >= ANNOUNCED_IF_LEFT_MS)
    if (isLong) this.#fetching.sources?.announce()
  }

  /** Leaves go into the store as well. */
  #copying(blocks: BlockReader): BlockReader {
    return {
      fetch: async (cid, options) => {
        const block = await blocks.fetch(cid, options)
        await this.#hold.over(this.#parts.store).put(cid, block)
        this.#copied.add(cid)
        return block
      },
    }
  }

  /** What is here now is served and announced from the user's file, until it is removed or changed, or from the copy. */
  async #keep(root: CID, target: string | undefined, { isPartial }: { isPartial: boolean }): Promise<void> {
    await this.#parts.store.sync()
    const kind = this.#options.pin === true ? 'recursive' : 'kept'
    const { target: wanted } = this.#options
    const names = wanted.kind === 'store' ? wanted.names : { suggestedName: target && basename(target) }
    const bytes = this.#exported.bytes
    await this.#parts.pins.add({ cid: root, ...names, bytes, kind, ...(isPartial && { isPartial }) }, this.#hold)
  }

  /** Fetches what the result leaves out, so that the whole can be pinned. */
  async #complete(root: CID, reader: BlockReader): Promise<void> {
    const { target, copy = false } = this.#options
    const { store, references } = this.#parts
    const inFiles = copy ? NOTHING : references
    const durable = target.kind === 'store' ? await target.durable(root) : inFiles
    const hasLeaf = async (cid: CID) => this.#copied.has(cid) || (await durable.size(cid)) !== undefined
    await completeDag(root, { hold: this.#hold, store, hasLeaf, reader, signal: this.#fetching.signal })
  }

  /** The final path, or undefined for a stream. */
  async #place(): Promise<string | undefined> {
    const { target } = this.#options
    if (target.kind === 'stream' || target.kind === 'store') return undefined
    const path = pathOf(target, this.#ref)
    if (target.kind === 'inside') await ensureFolder(target.folder)
    else await requireFolderOf(path)
    return path
  }

  async #openOutput(target: string | undefined, root: CID): Promise<AnyOutput> {
    const { target: wanted, force = false, copy = false, pin = false, onProgress } = this.#options
    if (wanted.kind === 'store') {
      const durable = await wanted.durable(root)
      return new StoreOutput((cid) => durable.size(cid))
    }
    if (wanted.kind === 'stream') {
      this.#stream = new StreamOutput(wanted.write, wanted)
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
      // A copy in the store is what a pin promises then.
      durable: pin && !copy,
      onNoted: (key, blockBytes) => this.#fetching.exchange?.blockStored(key, blockBytes),
    })
    if (output.resumes) onProgress?.({ type: 'note', message: `Resuming ${basename(target!)}.` })
    return output
  }

  #report(): void {
    const stats = this.#fetching.session?.stats()
    const { bytes, totalBytes } = this.#exported
    const isBeginning = (stats !== undefined && !this.#hasSession) || (bytes > 0 && !this.#hasContent)
    this.#hasSession = stats !== undefined
    this.#hasContent = bytes > 0
    if (isBeginning) this.#samples.length = 0
    // What an earlier run has left is no speed.
    const rate = this.#rate(stats?.bytes ?? bytes)
    const etaSeconds = totalBytes === null || rate === 0 ? null : Math.ceil((totalBytes - bytes) / rate)
    if (this.#phase !== 'finishing' && stats !== undefined && stats.bytes > 0) this.#announceIfItLasts(etaSeconds)
    this.#onProgress({
      type: 'progress',
      phase: this.#currentPhase(stats),
      bytes,
      totalBytes,
      bytesPerSecond: rate,
      etaSeconds,
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
    return this.#fetching.sources?.searching === true ? 'finding-providers' : 'connecting'
  }

  /** 0 while it cannot be told: what the structure alone has cost says nothing about content. */
  #rate(bytes: number): number {
    const atMs = this.#parts.clock.monotonicMs()
    addToWindow(this.#samples, { atMs, bytes })
    const first = this.#samples[0]!
    const spanMs = atMs - first.atMs
    return this.#hasContent && spanMs >= MIN_RATE_SPAN_MS ? ((bytes - first.bytes) / spanMs) * SECOND_MS : 0
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

  #result(root: CID, target: string | undefined, skipped: SkippedEntries): GetResult {
    const stats = this.#fetching.session?.stats()
    return {
      cid: root.toString(),
      path: target ?? null,
      skipped: skipped.named,
      skippedCount: skipped.count,
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

function pathOf(target: Extract<GetTarget, { kind: 'path' | 'inside' }>, ref: Ref): string {
  if (target.kind === 'path') return target.path
  const name = ref.filename ?? ref.path.at(-1)
  return join(target.folder, name === undefined ? ref.cid.toString() : suggestedFileName(name))
}
