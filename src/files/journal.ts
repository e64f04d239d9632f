/**
 * What is in place of one result while it is built, so that the same command goes on from there after any end of the
 * process: notes files and blocks in the reference index, many at a time, and tells what an earlier run has left.
 *
 * Used by `output.ts` alone.
 */

import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { fileIndexOf, treeIdOf } from '../blockstore/reference-codec.ts'
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
  /** What an earlier run knew of it; under the same id if that is believed. */
  readonly earlier: ReferencedFile | undefined
}

export class Journal {
  readonly #options: JournalOptions
  readonly #treeId: number
  readonly #notes: TreeNotes
  /** By name. */
  readonly #earlier: Map<string, ReferencedFile>

  private constructor(options: JournalOptions, treeId: number, notes: TreeNotes, earlier: Map<string, ReferencedFile>) {
    this.#options = options
    this.#treeId = treeId
    this.#notes = notes
    this.#earlier = earlier
  }

  /** Takes up what earlier runs have noted. @throws P2PError `io`, `disk-full` */
  static async open(options: JournalOptions): Promise<Journal> {
    const { references, root, temporary, bootId, onNoted } = options
    const earlier = new Map<string, ReferencedFile>()
    let treeId: number | undefined
    let nextIndex = 0
    for await (const tree of references.trees()) {
      if (tree.state !== 'building' || tree.path !== temporary || tree.root !== root.toString()) continue
      if (tree.bootId === bootId) treeId = tree.id
      for await (const file of references.filesOf(tree.id)) {
        earlier.set(file.name, file)
        if (tree.id === treeId) nextIndex = fileIndexOf(file.id) + 1
      }
    }
    treeId ??= await references.createTree({ path: temporary, root, bootId })
    return new Journal(options, treeId, new TreeNotes(references, treeId, { nextIndex, onNoted }), earlier)
  }

  /** True if an earlier run has left something to go on from. */
  get resumes(): boolean {
    return this.#earlier.size > 0
  }

  /** @param bytes - its size, if it is known: what an earlier run left is worth nothing if it is another one */
  async fileFor(path: readonly string[], bytes: number | undefined): Promise<JournalFile> {
    const name = path.join('/')
    const earlier = this.#earlier.get(name)
    if (earlier === undefined || !(await this.#stands(earlier, bytes))) return this.#newFile(name, undefined)
    if (treeIdOf(earlier.id) !== this.#treeId) return this.#newFile(name, earlier)
    return { id: earlier.id, name, isRecorded: true, earlier }
  }

  /**
   * The length of a leaf that an earlier run has left in this place; believed without reading in the same boot, else
   * read, hashed and noted anew.
   */
  async placedBytes(file: JournalFile, cid: CID, offset: number): Promise<number | undefined> {
    const { earlier } = file
    if (earlier === undefined) return undefined
    const { references } = this.#options
    const reference = await references.lookup(blockKey(cid))
    if (reference === undefined || reference.offset !== offset) return undefined
    if (reference.fileId === file.id) return reference.length
    if (reference.fileId !== earlier.id) return undefined
    if ((await references.read(reference, cid)) === undefined) {
      await references.drop(earlier.id, blockKey(cid))
      return undefined
    }
    const { size, mtimeNs } = earlier
    const whole = size === undefined || mtimeNs === undefined ? undefined : { size, mtimeNs: BigInt(mtimeNs) }
    await this.#notes.add(file, { whole, reference: { ...reference, fileId: file.id, key: blockKey(cid) } })
    return reference.length
  }

  /** As {@link TreeNotes.addLeaf}. */
  async noteLeaf(file: JournalFile, leaf: PlacedLeaf): Promise<void> {
    await this.#notes.addLeaf(file, leaf)
  }

  /** As {@link TreeNotes.addWhole}. */
  async noteWhole(file: JournalFile, whole: WholeFile, leaf?: PlacedLeaf): Promise<void> {
    await this.#notes.addWhole(file, whole, leaf)
  }

  /** The result is whole and in its place. */
  async finish(): Promise<void> {
    const { root, target, temporary } = this.#options
    await this.#notes.finish(target, root, { alsoForget: temporary })
  }

  /** Waits for what is being noted. A result that nothing was noted of leaves no trace. */
  async close(): Promise<void> {
    if (this.#notes.isEmpty && !this.resumes) await this.#notes.forget()
    else await this.#notes.idle()
  }

  #newFile(name: string, earlier: ReferencedFile | undefined): JournalFile {
    return { ...this.#notes.newFile(name), earlier }
  }

  /** Whether the file is still as the earlier run left it. */
  async #stands({ name, size, mtimeNs }: ReferencedFile, bytes: number | undefined): Promise<boolean> {
    const stats = await lstat(join(this.#options.temporary, name), { bigint: true }).catch(() => undefined)
    if (stats?.isFile() !== true) return false
    if (mtimeNs !== undefined && (String(stats.mtimeNs) !== mtimeNs || Number(stats.size) !== size)) return false
    return bytes === undefined || Number(stats.size) === bytes
  }
}
