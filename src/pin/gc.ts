/**
 * Garbage collection: removes what no pin, no download's result and no operation under way needs. Adds and serves go on
 * meanwhile: blocks are removed a few at a time, and who holds them is looked up anew for each.
 *
 * Before anything is removed every pinned DAG is walked by its inner nodes, and the index compared with it. One that
 * cannot be walked ends the collection, since what it needs is not known. Called by `collector.ts`.
 */

import type { CID } from 'multiformats/cid'
import type { DiskBlockStore } from '../blockstore/disk-blockstore.ts'
import { treeIdOf } from '../blockstore/reference-codec.ts'
import type { PlacedReference, References } from '../blockstore/references.ts'
import type { AbortOptions } from '../common/abort.ts'
import { hasCode, messageOf, P2PError } from '../common/errors.ts'
import { type BlockKey, blockKey, cidOfKey, isIdentity, parseCid } from '../dag/cid.ts'
import { linksOf } from '../dag/links.ts'
import { walkDag } from '../dag/walk.ts'
import type { HeldBlock } from './held-blocks.ts'
import type { Pin, Pins } from './pins.ts'

/** Removed in one go, while an operation that begins to hold something waits. */
const BLOCKS_PER_SECTION = 64
const RECORDS_PER_BATCH = 4096

export interface GcParts {
  blocks: DiskBlockStore
  references: References
  pins: Pins
}

export interface GcOptions extends AbortOptions {
  /** Only say what would be removed. Default false. */
  dryRun?: boolean | undefined
}

export interface GcCounts {
  /** Blocks in files of this program, and their bytes. */
  blocks: number
  bytes: number
  /** References into files of the user; the files stay as they are. */
  references: number
  /** Bytes of damaged blocks that had been set aside. */
  corruptBytes: number
}

/**
 * @throws P2PError `verification` if a pinned DAG cannot be walked: then nothing is removed; `io`; the signal's reason
 * when aborted, which leaves nothing half done
 */
export async function collectGarbage(parts: GcParts, options: GcOptions = {}): Promise<GcCounts> {
  return await new Collection(parts, options).run()
}

class Collection {
  readonly #parts: GcParts
  readonly #signal: AbortSignal | undefined
  readonly #dryRun: boolean
  readonly #counts: GcCounts = { blocks: 0, bytes: 0, references: 0, corruptBytes: 0 }

  constructor(parts: GcParts, { signal, dryRun = false }: GcOptions) {
    this.#parts = parts
    this.#signal = signal
    this.#dryRun = dryRun
  }

  async run(): Promise<GcCounts> {
    for await (const pin of this.#parts.pins.list()) await this.#mark(pin)
    await this.#sweepBlocks()
    await this.#sweepReferences()
    await this.#sweepCorrupt()
    if (this.#dryRun) return this.#counts
    await this.#sweepIndex()
    await this.#parts.blocks.reclaim({ signal: this.#signal })
    return this.#counts
  }

  /** Sees to it that the index has every block of a pin. */
  async #mark(pin: Pin): Promise<void> {
    await this.#index(pin, [pin.cid])
    if (pin.kind === 'direct') return
    for await (const { links } of walkDag(pin.cid, (cid) => this.#linksOf(pin, cid))) {
      this.#signal?.throwIfAborted()
      await this.#index(pin, links)
    }
  }

  async #index({ holder }: Pin, cids: readonly CID[]): Promise<void> {
    const { index } = this.#parts.pins
    const keys = cids.filter((cid) => !isIdentity(cid)).map(blockKey)
    const missing = await index.missing(keys, holder)
    if (missing.length > 0) await index.add(missing, holder)
  }

  async #linksOf(pin: Pin, cid: CID): Promise<readonly CID[]> {
    const { blocks, references, pins } = this.#parts
    let reason: string
    try {
      const bytes = (await blocks.get(cid)) ?? (await references.get(cid))
      if (bytes !== undefined) return linksOf(cid, bytes)
      reason = `block ${cid} is not here`
    } catch (error) {
      if (!hasCode(error, 'io', 'bad-data')) throw error
      reason = messageOf(error)
    }
    // Of what a download left only that is kept which is here.
    if (pin.kind === 'kept' || (await pins.get(pin.cid))?.holder !== pin.holder) return []
    throw new P2PError('verification', `The pin ${pin.cid} cannot be walked, so nothing was removed: ${reason}`, {
      hint: 'Run "p2p verify --repair" to fetch what is missing, or "p2p pin rm" to give the pin up.',
    })
  }

  async #sweepBlocks(): Promise<void> {
    const { blocks, pins } = this.#parts
    const counts = await pins.holders()
    for await (const { shard, keys } of blocks.shards()) {
      this.#signal?.throwIfAborted()
      const unheld = new Set(keys)
      for await (const { key, holder } of pins.index.list(shard)) if (counts(holder)) unheld.delete(key)
      await this.#inSections([...unheld], (key) => this.#removeBlock(key))
    }
  }

  async #removeBlock(key: BlockKey): Promise<void> {
    const { blocks } = this.#parts
    const cid = cidOfKey(key)
    const bytes = await blocks.size(cid)
    if (bytes === undefined) return
    if (!this.#dryRun) await blocks.delete(cid)
    this.#counts.blocks++
    this.#counts.bytes += bytes
  }

  /** References of trees that nobody wants any more, where no pin needs the block for itself. */
  async #sweepReferences(): Promise<void> {
    const { references } = this.#parts
    const unwanted = await this.#unwantedTrees()
    if (unwanted.size === 0) return
    const needed = new Set<number>()
    const places = new Map<BlockKey, number[]>()
    const sweep = async () => {
      const unheld = new Set<BlockKey>()
      await this.#inSections([...places.keys()], async (key) => {
        unheld.add(key)
        if (!this.#dryRun) await references.dropTrees(key, unwanted)
        this.#counts.references++
      })
      for (const [key, trees] of places) if (!unheld.has(key)) for (const tree of trees) needed.add(tree)
      places.clear()
    }
    for await (const block of references.blocks()) {
      this.#signal?.throwIfAborted()
      const trees = treesOf(block.places).filter((tree) => unwanted.has(tree))
      if (trees.length > 0) places.set(block.key, trees)
      if (places.size >= RECORDS_PER_BATCH) await sweep()
    }
    await sweep()
    if (this.#dryRun) return
    for (const tree of unwanted) if (!needed.has(tree)) await references.forgetTree(tree)
  }

  async #unwantedTrees(): Promise<Set<number>> {
    const { references, pins } = this.#parts
    const unwanted = new Set<number>()
    for await (const tree of references.trees()) {
      if (tree.root !== undefined && (await pins.isHeld(blockKey(parseCid(tree.root))))) continue
      if (tree.state === 'finished' || (await references.isAbandoned(tree))) unwanted.add(tree.id)
    }
    return unwanted
  }

  async #sweepCorrupt(): Promise<void> {
    const { blocks } = this.#parts
    this.#counts.corruptBytes = await blocks.corruptBytes()
    if (!this.#dryRun && this.#counts.corruptBytes > 0) await blocks.removeCorrupt()
  }

  /** Records of holders that are none any more. */
  async #sweepIndex(): Promise<void> {
    const { index } = this.#parts.pins
    const counts = await this.#parts.pins.holders()
    let worthless: HeldBlock[] = []
    const remove = async () => {
      await index.remove(worthless)
      worthless = []
    }
    for await (const record of index.list()) {
      if (counts(record.holder)) continue
      this.#signal?.throwIfAborted()
      worthless.push(record)
      if (worthless.length >= RECORDS_PER_BATCH) await remove()
    }
    await remove()
  }

  async #inSections(keys: readonly BlockKey[], remove: (key: BlockKey) => Promise<void>): Promise<void> {
    for (let start = 0; start < keys.length; start += BLOCKS_PER_SECTION) {
      this.#signal?.throwIfAborted()
      await this.#parts.pins.removeUnheld(keys.slice(start, start + BLOCKS_PER_SECTION), remove)
    }
  }
}

function treesOf(places: readonly PlacedReference[]): number[] {
  return places.map(({ reference }) => treeIdOf(reference.fileId))
}
