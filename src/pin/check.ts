/**
 * What must always hold of a repo, checked: every block hashes to its name, every pin's DAG is complete and in the index,
 * every reference leads to its block, nothing is left over. Changes nothing by itself. Used by `p2p verify` and by the
 * tests that break things on purpose.
 */

import type { CID } from 'multiformats/cid'
import type { DiskBlockStore } from '../blockstore/disk-blockstore.ts'
import type { Reference, TreeRecord } from '../blockstore/reference-codec.ts'
import type { PlacedReference, References } from '../blockstore/references.ts'
import type { AbortOptions } from '../common/abort.ts'
import { mapBounded } from '../common/concurrency.ts'
import { hasCode, messageOf } from '../common/errors.ts'
import { matchesCid } from '../dag/block.ts'
import { type BlockKey, blockKey, cidOfKey, isIdentity, parseCid } from '../dag/cid.ts'
import { isLeaf, linksOf } from '../dag/links.ts'
import { walkDag } from '../dag/walk.ts'
import type { Pin, Pins } from './pins.ts'

/** Blocks that are read, or looked for, at the same time. */
const PARALLEL = 8

export type Problem =
  /** A block in a file of this program that is something else, or cannot be read. */
  | { kind: 'corrupt-block'; cid: CID; reason: string }
  | ReferenceProblem
  /** A block that a pin needs and that is not here, or is no part of a DAG that can be read. */
  | { kind: 'missing-block'; cid: CID; root: CID; pin: Pin['kind']; isDamaged: boolean; reason: string }
  /** A block that a pin has and the index does not know of. */
  | { kind: 'unindexed-block'; cid: CID; root: CID; holder: string }
  /** A pack of which an interrupted run has written the end, which cannot be read. No pin has a block in there. */
  | { kind: 'unreadable-pack'; path: string; reason: string }
  /** What an interrupted write left. */
  | { kind: 'leftover'; path: string }

type ReferenceProblem =
  /** A reference into a file of the user that has changed or gone. What a download has left they may do with as they like. */
  | {
      kind: 'dangling-reference'
      cid: CID
      reference: Reference
      tree: TreeRecord
      isFileUnchanged: boolean
      isDownload: boolean
    }
  /** A reference into a file of the user that could not be read, and may hold the block all the same. */
  | { kind: 'unreadable-reference'; cid: CID; tree: TreeRecord; reason: string }

export interface CheckParts {
  blocks: DiskBlockStore
  references: References
  pins: Pins
  /** Paths of what interrupted writes left. */
  leftovers: () => Promise<string[]>
}

export interface CheckOptions extends AbortOptions {
  /**
   * Told of each problem once. True if it has been mended: a block that is said to be mended is looked at again, and
   * what is below it is checked too. Default: nothing is mended.
   */
  onProblem?: ((problem: Problem) => Promise<boolean>) | undefined
  /** Called after each block that was read. */
  onChecked?: ((counts: CheckCounts) => void) | undefined
}

export interface CheckCounts {
  /** Block files that were read, and their bytes. */
  blocks: number
  bytes: number
  /** Blocks in files of the user. */
  references: number
  pins: number
  /** Problems that were found, and those of them that were mended. */
  problems: number
  mended: number
}

/** @throws P2PError `io` if something else than a block cannot be read; the signal's reason when aborted */
export async function checkRepo(parts: CheckParts, options: CheckOptions = {}): Promise<CheckCounts> {
  return await new Check(parts, options).run()
}

class Check {
  readonly #parts: CheckParts
  readonly #options: CheckOptions
  readonly #counts: CheckCounts = { blocks: 0, bytes: 0, references: 0, pins: 0, problems: 0, mended: 0 }
  /** Block files that cannot be used, and why; those that a pin has are reported by their full CID. */
  readonly #corrupt = new Map<BlockKey, string>()
  /** Blocks of which no reference can be used. */
  readonly #dangling = new Set<BlockKey>()
  /** Blocks that lie in a file which could not be read. */
  readonly #unreadable = new Set<BlockKey>()
  /** Blocks with references that dangle, and that a pin may need. */
  readonly #letGoLater = new Set<BlockKey>()
  /** Blocks that were reported as missing. */
  readonly #missing = new Set<BlockKey>()

  constructor(parts: CheckParts, options: CheckOptions) {
    this.#parts = parts
    this.#options = options
  }

  async run(): Promise<CheckCounts> {
    const { blocks, references, pins, leftovers } = this.#parts
    for await (const { keys } of blocks.shards()) {
      await mapBounded(keys, PARALLEL, (key) => this.#checkFile(key))
    }
    for await (const { key, places } of references.blocks()) {
      this.#options.signal?.throwIfAborted()
      await this.#checkReferences(key, places)
    }
    // What was asked for comes first: a block is reported once, as part of what matters most.
    for (const isKept of [false, true]) {
      for await (const pin of pins.list()) if ((pin.kind === 'kept') === isKept) await this.#checkPin(pin)
    }
    // By now a pin has what it needs of them from others, or will not get it.
    if (this.#letGoLater.size > 0) {
      for await (const { key, places } of references.blocks()) {
        this.#options.signal?.throwIfAborted()
        if (this.#letGoLater.has(key)) await this.#reportDangling(key, places)
      }
    }
    for (const [key, reason] of this.#corrupt) await this.#report({ kind: 'corrupt-block', cid: cidOfKey(key), reason })
    for (const pack of blocks.unreadablePacks()) await this.#report({ kind: 'unreadable-pack', ...pack })
    for (const path of await leftovers()) await this.#report({ kind: 'leftover', path })
    return this.#counts
  }

  async #checkFile(key: BlockKey): Promise<void> {
    const { signal, onChecked } = this.#options
    signal?.throwIfAborted()
    const cid = cidOfKey(key)
    try {
      const bytes = await this.#parts.blocks.readUnverified(cid, { signal })
      // Removed since it was listed.
      if (bytes === undefined) return
      this.#counts.blocks++
      this.#counts.bytes += bytes.byteLength
      if (!matchesCid(cid, bytes)) this.#corrupt.set(key, 'its bytes do not match')
    } catch (error) {
      if (!hasCode(error, 'io')) throw error
      this.#corrupt.set(key, error.message)
    }
    onChecked?.(this.#counts)
  }

  async #checkReferences(key: BlockKey, places: PlacedReference[]): Promise<void> {
    const finished = places.filter(isFinished)
    if (finished.length === 0) return
    this.#counts.references++
    let usable = false
    for (const place of finished) {
      const problem = await this.#problemAt(cidOfKey(key), place)
      if (problem === undefined) usable = true
      else if (problem.kind === 'unreadable-reference') {
        this.#unreadable.add(key)
        await this.#report(problem)
      } else if (problem.isDownload) await this.#report(problem)
      else this.#letGoLater.add(key)
    }
    if (!usable) this.#dangling.add(key)
    this.#options.onChecked?.(this.#counts)
  }

  /** Reports the references that {@link #checkReferences} has left for later. */
  async #reportDangling(key: BlockKey, places: PlacedReference[]): Promise<void> {
    for (const place of places.filter(isFinished)) {
      const problem = await this.#problemAt(cidOfKey(key), place)
      if (problem?.kind === 'dangling-reference' && !problem.isDownload) await this.#report(problem)
    }
  }

  async #problemAt(cid: CID, { reference, tree }: PlacedReference): Promise<ReferenceProblem | undefined> {
    const { references, pins } = this.#parts
    try {
      if ((await references.read(reference, cid)) !== undefined) return undefined
      const isFileUnchanged = await references.isFileUnchanged(reference)
      const isDownload = tree.root !== undefined && (await pins.get(parseCid(tree.root)))?.kind === 'kept'
      return { kind: 'dangling-reference', cid, reference, tree, isFileUnchanged, isDownload }
    } catch (error) {
      if (!hasCode(error, 'io')) throw error
      return { kind: 'unreadable-reference', cid, tree, reason: error.message }
    }
  }

  async #checkPin(pin: Pin): Promise<void> {
    const { pins } = this.#parts
    const { signal } = this.#options
    this.#counts.pins++
    await this.#checkIndex(pin, [pin.cid])
    if (pin.kind === 'direct' || isLeaf(pin.cid)) {
      await this.#checkBlock(pin, pin.cid)
      return
    }
    for await (const { links } of walkDag(pin.cid, (cid) => this.#linksOf(pin, cid))) {
      signal?.throwIfAborted()
      await this.#checkIndex(pin, links)
      const leaves = links.filter(isLeaf)
      await mapBounded(leaves, PARALLEL, (cid) => this.#checkBlock(pin, cid))
      // Somebody has removed it, and gc may have come by.
      if ((await pins.get(pin.cid))?.holder !== pin.holder) return
    }
  }

  async #checkIndex(pin: Pin, cids: readonly CID[]): Promise<void> {
    const byKey = new Map(cids.filter((cid) => !isIdentity(cid)).map((cid) => [blockKey(cid), cid]))
    for (const key of await this.#parts.pins.index.missing([...byKey.keys()], pin.holder)) {
      await this.#report({ kind: 'unindexed-block', cid: byKey.get(key)!, root: pin.cid, holder: pin.holder })
    }
  }

  /** Empty for a node that cannot be read, once that is reported. */
  async #linksOf(pin: Pin, cid: CID): Promise<readonly CID[]> {
    const { blocks, references } = this.#parts
    for (const isLastTry of [false, true]) {
      let reason = this.#corrupt.get(blockKey(cid)) ?? 'it is not here'
      try {
        const stored = await blocks.readUnverified(cid)
        const bytes = stored !== undefined && matchesCid(cid, stored) ? stored : await references.get(cid)
        if (bytes !== undefined) return linksOf(cid, bytes)
      } catch (error) {
        if (!hasCode(error, 'io', 'bad-data')) throw error
        reason = messageOf(error)
      }
      if (isLastTry || !(await this.#reportMissing(pin, cid, reason))) return []
    }
    return []
  }

  async #checkBlock(pin: Pin, cid: CID): Promise<void> {
    const { blocks, references } = this.#parts
    if (isIdentity(cid)) return
    const key = blockKey(cid)
    const corrupt = this.#corrupt.get(key)
    if (corrupt === undefined && (await blocks.has(cid))) return
    if (!this.#dangling.has(key) && (await references.size(cid)) !== undefined) return
    await this.#reportMissing(pin, cid, corrupt ?? 'it is not here')
  }

  async #reportMissing(pin: Pin, cid: CID, reason: string): Promise<boolean> {
    const key = blockKey(cid)
    // Entries that could not be made have never been here.
    if (pin.isPartial === true && !this.#corrupt.has(key)) return false
    if (this.#missing.has(key)) return false
    // That is said already, and the file may be readable again in a moment.
    if (this.#unreadable.has(key) && !this.#corrupt.has(key)) return false
    const isDamaged = this.#corrupt.delete(key)
    const isMended = await this.#report({ kind: 'missing-block', cid, root: pin.cid, pin: pin.kind, isDamaged, reason })
    if (isMended) this.#dangling.delete(key)
    else this.#missing.add(key)
    return isMended
  }

  async #report(problem: Problem): Promise<boolean> {
    this.#counts.problems++
    const isMended = (await this.#options.onProblem?.(problem)) ?? false
    if (isMended) this.#counts.mended++
    return isMended
  }
}

/** Of what a download is still building nothing is promised. */
function isFinished({ tree }: PlacedReference): boolean {
  return tree.state === 'finished'
}
