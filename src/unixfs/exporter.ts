/**
 * A tree of blocks to content: drives the walk, keeps a bounded window of leaves in flight, and hands each leaf to a
 * sink once for every place it has in the result. Leaves arrive in any order; the sink says how far ahead it takes them.
 */

import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import { P2PError } from '../common/errors.ts'
import { MiB } from '../common/units.ts'
import { type BlockReader, MAX_BLOCK_BYTES } from '../dag/block.ts'
import { type BlockKey, blockKey } from '../dag/cid.ts'
import { type DecodedNode, decodeNode, linksIn, type NodeMetadata } from './decode.ts'
import { type Found, Walk, type WalkOptions } from './walk.ts'
import { isLeafStep, type LeafStep, type NodeStep, overlap, type Place, type WalkFile } from './walk-steps.ts'

/** Content that is asked for, has arrived or is being written. */
const WINDOW_BYTES = 48 * MiB
/** A folder may say less than its files have: no more than so many of 2 MiB. */
const WINDOW_LEAVES = 512
/** Of those that come from a disk: each that waits for its turn takes memory. */
const WINDOW_LOCAL_LEAVES = 64
/** Leaves that occurred more than once are kept for their next place, so many at most. */
const REPEATED_LEAVES = 4

/** Where content goes. Calls for different places may overlap. */
export interface ContentSink {
  /** How much content there is in all, once it is known; throws if it cannot be taken. */
  expectBytes(totalBytes: number): Promise<void>
  /** @param metadata - for when all that is in it is in place */
  makeFolder(path: readonly string[], metadata: NodeMetadata | undefined): Promise<void>
  makeLink(path: readonly string[], target: string, metadata: NodeMetadata | undefined): Promise<void>
  /** Content of the file will follow in parts. */
  openFile(file: WalkFile): Promise<void>
  /** The size of the leaf if an earlier run has left it in this place. */
  placedBytes(cid: CID, place: LeafPlace): Promise<number | undefined>
  /** @param leaf - the CID of the block if it holds this content and nothing else */
  write(place: Place, content: Uint8Array, leaf: CID | undefined): Promise<void>
  /** The last part of a file that was opened is in place. */
  closeFile(file: WalkFile): Promise<void>
  /** All of a file that was not opened, in one part. @param leaf - as for {@link write} */
  writeFile(file: WalkFile, content: Uint8Array, leaf: CID | undefined): Promise<void>
  /** An entry that is left out. */
  refuse(path: readonly string[], reason: string): void
  /** Offset from which on leaves are not wanted yet; infinite where the order does not matter. */
  windowEnd(): number
  /** Writes that cannot go on before other content has come. Default 0. */
  stuck?(): number
}

export interface ExportOptions extends AbortOptions, WalkOptions {
  /** Gives inner nodes, and stores them. */
  nodes: BlockReader
  /** Gives leaves; whoever is behind it does not have to store them. */
  leaves: BlockReader
  /** A leaf that {@link leaves} gave is not looked at any more. */
  release: (leaf: Uint8Array) => void
  /** Whether leaves have been taken from this machine alone so far, whose disk gains nothing by many at once. */
  isLocal?: (() => boolean) | undefined
  /** Called with each inner node that has been read, and what it links to, before its children are asked for. */
  onNode: (cid: CID, block: Uint8Array, links: CID[]) => Promise<void>
  /** Called once when the export fails: the readers' waiting fetches must reject, so that it can end. */
  onFailure: () => void
  /** Called with each block that is no part of a file tree, before it is written as a file of its own. */
  onOpaque: (path: readonly string[], cid: CID) => void
  onProgress: (progress: ExportProgress) => void
}

export interface ExportProgress {
  /** Content in place, of what is asked for. */
  bytes: number
  /** Content in the whole tree, or in the range; null while parts of it are not known. */
  totalBytes: number | null
  /** Content that the sink has been given and has not taken yet. */
  queuedBytes: number
}

/**
 * Writes the tree below `root` into the sink.
 *
 * @throws P2PError `bad-data` for a malformed tree, and whatever the readers and the sink throw
 */
export async function exportTree(root: CID, sink: ContentSink, options: ExportOptions): Promise<void> {
  await new Export(root, sink, options).run()
}

interface LeafPlace extends Place {
  /** The content's size by what stands above it; undefined where nothing says. */
  bytes: number | undefined
}

interface LeafInFlight {
  cid: CID
  expectedBytes: number
  /** Fetched when the first place turns out to need it. */
  content: Promise<Uint8Array> | undefined
  /** Places that wait for it or are being written. */
  users: number
  places: number
}

class Export {
  readonly #sink: ContentSink
  readonly #options: ExportOptions
  readonly #walk: Walk
  readonly #leaves = new Map<BlockKey, LeafInFlight>()
  readonly #repeated = new Map<BlockKey, Uint8Array>()
  /** Content in place per file that is not whole yet, and the opening of the file. */
  readonly #open = new Map<WalkFile, { opened: Promise<void>; bytes: number }>()
  #inFlightBytes = 0
  #tasks = 0
  #bytes = 0
  #queuedBytes = 0
  #totalKnown = false
  #error: { reason: unknown } | undefined
  #wake: (() => void) | undefined

  constructor(root: CID, sink: ContentSink, options: ExportOptions) {
    this.#sink = sink
    this.#options = options
    this.#walk = new Walk(root, options)
  }

  async run(): Promise<void> {
    const { signal } = this.#options
    const onAbort = () => this.#fail(signal?.reason)
    signal?.throwIfAborted()
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        this.#issue()
        if (this.#error !== undefined || (this.#walk.done && this.#tasks === 0)) break
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
      // Whatever was begun is let finish, so that nothing writes after the sink is closed.
      while (this.#tasks > 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
    if (this.#error !== undefined) throw this.#error.reason
  }

  /** Sends out all that the window allows now. */
  #issue(): void {
    while (this.#error === undefined) {
      const step = this.#walk.nextNode(this.#isStarved()) ?? this.#nextLeaf()
      if (step === undefined) return
      if (isLeafStep(step)) this.#addLeaf(step)
      else this.#run(this.#resolveNode(step))
    }
  }

  #nextLeaf(): LeafStep | NodeStep | undefined {
    const mostLeaves = this.#options.isLocal?.() === true ? WINDOW_LOCAL_LEAVES : WINDOW_LEAVES
    if (this.#inFlightBytes >= WINDOW_BYTES || this.#tasks >= mostLeaves) return undefined
    return this.#walk.nextLeaf(this.#sink.windowEnd(), this.#isStarved())
  }

  /** Nothing that is under way can end before something else has been asked for. */
  #isStarved(): boolean {
    return this.#tasks === (this.#sink.stuck?.() ?? 0)
  }

  async #resolveNode(step: NodeStep): Promise<void> {
    const { cid, contentBytes } = step
    // A node in a leaf's place weighs as much as the leaf that it may be.
    const weight = contentBytes !== undefined && contentBytes <= MAX_BLOCK_BYTES ? contentBytes : 0
    this.#inFlightBytes += weight
    try {
      const block = await this.#options.nodes.fetch(cid, weight > 0 ? { expectedBytes: weight } : {})
      const node = decodeNode(cid, block)
      if (node.kind !== 'leaf' && node.kind !== 'opaque') await this.#options.onNode(cid, block, linksIn(node))
      const folder = folderOf(step, node)
      if (folder !== undefined) await this.#sink.makeFolder(folder, node.metadata)
      const found = this.#walk.resolve(step, node, block.byteLength)
      if (!this.#totalKnown && this.#walk.totalBytes !== null) {
        this.#totalKnown = true
        await this.#sink.expectBytes(this.#walk.totalBytes)
      }
      for (const item of found) await this.#take(item)
    } finally {
      this.#inFlightBytes -= weight
    }
    this.#report()
  }

  async #take(found: Found): Promise<void> {
    switch (found.type) {
      case 'link':
        return await this.#sink.makeLink(found.path, found.target, found.metadata)
      case 'opaque':
        return this.#options.onOpaque(found.path, found.cid)
      case 'refused':
        return this.#sink.refuse(found.path, found.reason)
      case 'file':
        await this.#stateOf(found.file).opened
        return
      case 'whole-file':
        return await this.#writeFile(found.file, found.content, found.leaf)
      case 'content':
        if (found.content.byteLength > 0) await this.#write(found.place, found.content, found.leaf)
    }
  }

  /** A leaf that is in flight already is not asked for again. */
  #addLeaf(step: LeafStep): void {
    const key = blockKey(step.cid)
    let leaf = this.#leaves.get(key)
    if (leaf === undefined) {
      leaf = { cid: step.cid, expectedBytes: step.expectedBytes, content: undefined, users: 0, places: 0 }
      this.#leaves.set(key, leaf)
      this.#inFlightBytes += leaf.expectedBytes
    }
    leaf.users++
    leaf.places++
    this.#run(this.#fillPlace(leaf, key, step))
  }

  /** Each place by itself: one that has to wait for what comes before it must not hold up the others. */
  async #fillPlace(leaf: LeafInFlight, key: BlockKey, place: LeafPlace): Promise<void> {
    const isWholeFile = place.bytes === undefined
    try {
      if (place.bytes === 0) {
        // Nothing to write, and the file may be whole already: it is only looked at.
        leaf.content ??= this.#contentOf(leaf, key)
        checkSize(leaf.cid, place, await leaf.content)
        return
      }
      if (!isWholeFile) await this.#stateOf(place.file).opened
      const placedBytes = await this.#sink.placedBytes(leaf.cid, place)
      if (placedBytes !== undefined) {
        if (isWholeFile) this.#count(placedBytes)
        else await this.#placed(place.file, placedBytes)
        return
      }
      leaf.content ??= this.#contentOf(leaf, key)
      const content = await leaf.content
      checkSize(leaf.cid, place, content)
      this.#weigh(leaf, content)
      if (isWholeFile) {
        await this.#writeFile(place.file, content, leaf.cid)
      } else {
        await this.#write(place, content, leaf.cid)
      }
    } finally {
      leaf.users--
      if (leaf.users === 0) await this.#finishLeaf(leaf, key)
    }
  }

  async #contentOf({ cid, expectedBytes }: LeafInFlight, key: BlockKey): Promise<Uint8Array> {
    return this.#repeated.get(key) ?? (await this.#options.leaves.fetch(cid, { expectedBytes }))
  }

  /** Counts what has arrived, where a folder has said something else. */
  #weigh(leaf: LeafInFlight, { byteLength }: Uint8Array): void {
    this.#inFlightBytes += byteLength - leaf.expectedBytes
    leaf.expectedBytes = byteLength
  }

  async #finishLeaf(leaf: LeafInFlight, key: BlockKey): Promise<void> {
    this.#leaves.delete(key)
    this.#inFlightBytes -= leaf.expectedBytes
    if (leaf.content === undefined || this.#error !== undefined) return
    const content = await leaf.content
    if (leaf.places > 1 || this.#repeated.has(key)) this.#keepRepeated(key, content)
    else this.#options.release(content)
  }

  async #write(place: Place, content: Uint8Array, leaf: CID | undefined): Promise<void> {
    await this.#queued(content, async () => {
      await this.#stateOf(place.file).opened
      const written = this.#sink.write(place, content, leaf)
      if (this.#isStarved()) this.#wake?.()
      await written
    })
    await this.#placed(place.file, this.#wantedOf(place.offset, content.byteLength))
  }

  async #writeFile(file: WalkFile, content: Uint8Array, leaf: CID | undefined): Promise<void> {
    await this.#queued(content, () => this.#sink.writeFile(file, content, leaf))
    this.#count(this.#wantedOf(0, content.byteLength))
  }

  #wantedOf(offset: number, bytes: number): number {
    const { range } = this.#options
    return range === undefined ? bytes : overlap(range, offset, bytes)
  }

  /** Counts content as waiting for the sink while it is being written. */
  async #queued(content: Uint8Array, write: () => Promise<void>): Promise<void> {
    this.#queuedBytes += content.byteLength
    this.#report()
    try {
      await write()
    } finally {
      this.#queuedBytes -= content.byteLength
    }
  }

  async #placed(file: WalkFile, bytes: number): Promise<void> {
    const state = this.#stateOf(file)
    state.bytes += bytes
    if (state.bytes === file.bytes) {
      this.#open.delete(file)
      await this.#sink.closeFile(file)
    }
    this.#count(bytes)
  }

  #count(bytes: number): void {
    this.#bytes += bytes
    this.#report()
  }

  #stateOf(file: WalkFile): { opened: Promise<void>; bytes: number } {
    let state = this.#open.get(file)
    if (state === undefined) {
      state = { opened: this.#sink.openFile(file), bytes: 0 }
      // Whoever awaits it sees the failure; until then it must not count as unhandled.
      state.opened.catch(() => {})
      this.#open.set(file, state)
    }
    return state
  }

  #keepRepeated(key: BlockKey, content: Uint8Array): void {
    this.#repeated.delete(key)
    this.#repeated.set(key, content)
    if (this.#repeated.size > REPEATED_LEAVES) this.#repeated.delete(this.#repeated.keys().next().value!)
  }

  #report(): void {
    const { totalBytes } = this.#walk
    this.#options.onProgress({ bytes: this.#bytes, totalBytes, queuedBytes: this.#queuedBytes })
  }

  #run(task: Promise<void>): void {
    this.#tasks++
    task
      .catch((error) => this.#fail(error))
      .finally(() => {
        this.#tasks--
        this.#wake?.()
      })
  }

  #fail(reason: unknown): void {
    if (this.#error === undefined) {
      this.#error = { reason }
      this.#options.onFailure()
    }
    this.#wake?.()
  }
}

/** The path of the folder that the node is the root of, if it is one. */
function folderOf({ context }: NodeStep, { kind }: DecodedNode): readonly string[] | undefined {
  if (kind !== 'directory' && kind !== 'shard') return undefined
  if (context.kind === 'root') return []
  return context.kind === 'entry' ? context.path : undefined
}

function checkSize(cid: CID, place: LeafPlace, content: Uint8Array): void {
  if (place.bytes === undefined || content.byteLength === place.bytes) return
  const sizes = `${content.byteLength} bytes where its parent says ${place.bytes}`
  throw new P2PError('bad-data', `Block ${cid} holds ${sizes}`)
}
