/**
 * What is in place of one result while it is built, so that the same command goes on from there after any end of the
 * process: notes files and blocks in the reference index, many at a time, and tells what an earlier run has left.
 *
 * Used by `output.ts` alone.
 */

import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { fileIndexOf, isUnchanged, treeIdOf } from '../blockstore/reference-codec.ts'
import type { ReferencedFile, References } from '../blockstore/references.ts'
import { blockKey } from '../dag/cid.ts'
import { type NotedFile, type PlacedLeaf, TreeNotes, type TreeNotesOptions, type WholeFile } from './tree-notes.ts'

export interface JournalOptions {
  references: References
  root: CID
  /** Where the result is built. */
  temporary: string
  /** Where it will stay. */
  target: string
  /** Names this boot of the machine: what was noted in another one is read and hashed before it is believed. */
  bootId: string
  /** As in {@link TreeNotesOptions}. */
  onNoted?: TreeNotesOptions['onNoted']
}

/** A file of the result. */
export interface JournalFile extends NotedFile {
  /** What earlier runs knew of it, the latest last; under the same id if that is believed. */
  readonly earlier: readonly ReferencedFile[]
}

export class Journal {
  readonly #options: JournalOptions
  readonly #treeId: number
  /** Where in the tree the download began, as a part of all leaves from 0 to 1; the same in all runs of it. */
  readonly beginning: number
  readonly #notes: TreeNotes
  /** By name, the latest last. */
  readonly #earlier: Map<string, ReferencedFile[]>
  #isWhole = false

  private constructor(
    options: JournalOptions,
    { treeId, beginning }: { treeId: number; beginning: number },
    notes: TreeNotes,
    earlier: Map<string, ReferencedFile[]>,
  ) {
    this.#options = options
    this.#treeId = treeId
    this.beginning = beginning
    this.#notes = notes
    this.#earlier = earlier
  }

  /** Takes up what earlier runs have noted. @throws P2PError `io`, `disk-full` */
  static async open(options: JournalOptions): Promise<Journal> {
    const { references, root, temporary, bootId, onNoted } = options
    const earlier = new Map<string, ReferencedFile[]>()
    let treeId: number | undefined
    let nextIndex = 0
    // Each elsewhere, so that those who download at the same time soon have different parts to trade.
    let beginning = Math.random()
    for await (const tree of references.trees()) {
      if (tree.state !== 'building' || tree.path !== temporary || tree.root !== root.toString()) continue
      if (tree.bootId === bootId) treeId = tree.id
      beginning = tree.beginning ?? beginning
      for await (const file of references.filesOf(tree.id)) {
        const known = earlier.get(file.name)
        if (known === undefined) earlier.set(file.name, [file])
        else known.push(file)
        if (tree.id === treeId) nextIndex = fileIndexOf(file.id) + 1
      }
    }
    treeId ??= await references.createTree({ path: temporary, root, bootId, beginning })
    return new Journal(
      options,
      { treeId, beginning },
      new TreeNotes(references, treeId, { nextIndex, onNoted }),
      earlier,
    )
  }

  /** True if an earlier run has left something to go on from. */
  get resumes(): boolean {
    return this.#earlier.size > 0
  }

  /** @param bytes - its size, if it is known: what an earlier run left is worth nothing if it is another one */
  async fileFor(path: readonly string[], bytes: number | undefined): Promise<JournalFile> {
    const name = path.join('/')
    const earlier = this.#earlier.get(name)
    const latest = earlier?.at(-1)
    if (earlier === undefined || latest === undefined) return this.#newFile(name, [])
    if (!(await this.#stands(latest, bytes))) return this.#newFile(name, [])
    if (treeIdOf(latest.id) !== this.#treeId) return this.#newFile(name, earlier)
    return { id: latest.id, name, isRecorded: true, earlier }
  }

  /**
   * The length of a leaf that an earlier run has left in this place; believed without reading in the same boot, else
   * read, hashed and noted anew.
   */
  async placedBytes(file: JournalFile, cid: CID, offset: number): Promise<number | undefined> {
    if (file.earlier.length === 0) return undefined
    const { references } = this.#options
    const here = (await references.lookup(blockKey(cid))).filter((reference) => reference.offset === offset)
    const believed = here.find(({ fileId }) => fileId === file.id)
    if (believed !== undefined) return believed.length
    for (const reference of here.filter(({ fileId }) => file.earlier.some(({ id }) => id === fileId))) {
      if ((await references.read(reference, cid)) !== undefined) {
        await this.#notes.add(file, {
          whole: wholeOf(file.earlier.at(-1)),
          reference: { ...reference, fileId: file.id, key: blockKey(cid) },
        })
        return reference.length
      }
      await references.drop(reference.fileId, blockKey(cid))
    }
    return undefined
  }

  /** As {@link TreeNotes.addLeaf}. */
  async noteLeaf(file: JournalFile, leaf: PlacedLeaf): Promise<void> {
    await this.#notes.addLeaf(file, leaf)
  }

  /** As {@link TreeNotes.addWhole}. */
  async noteWhole(file: JournalFile, whole: WholeFile, leaf?: PlacedLeaf): Promise<void> {
    await this.#notes.addWhole(file, whole, leaf)
  }

  /** The result is whole: if this process ends while it is being put in its place, the next one knows what stands there. */
  async markWhole(): Promise<void> {
    this.#isWhole = true
    await this.#notes.markWhole()
  }

  /** Every file of the result that is noted, once nothing is being noted any more. */
  async *files(): AsyncGenerator<ReferencedFile> {
    await this.#notes.idle()
    yield* this.#options.references.filesOf(this.#treeId)
  }

  /** The result is whole and in its place. */
  async finish(): Promise<void> {
    const { root, target, temporary } = this.#options
    await this.#notes.finish(target, root, { builtAt: temporary })
  }

  /** Waits for what is being noted. A result that is not whole and that nothing was noted of leaves no trace. */
  async close(): Promise<void> {
    if (this.#notes.isEmpty && !this.resumes && !this.#isWhole) await this.#notes.forget()
    else await this.#notes.idle()
  }

  #newFile(name: string, earlier: readonly ReferencedFile[]): JournalFile {
    return { ...this.#notes.newFile(name), earlier }
  }

  /** Whether the file is still as the earlier run left it. */
  async #stands(file: ReferencedFile, bytes: number | undefined): Promise<boolean> {
    const stats = await lstat(join(this.#options.temporary, file.name), { bigint: true }).catch(() => undefined)
    if (stats?.isFile() !== true) return false
    if (file.mtimeNs !== undefined && !isUnchanged(file, stats)) return false
    return bytes === undefined || Number(stats.size) === bytes
  }
}

function wholeOf(file: ReferencedFile | undefined): WholeFile | undefined {
  if (file?.size === undefined || file.mtimeNs === undefined) return undefined
  return { size: file.size, mtimeNs: BigInt(file.mtimeNs) }
}
