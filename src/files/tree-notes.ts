/**
 * Notes of one file or folder of the user for the reference index, many at a time: which files are in it, and which
 * blocks lie where in them. Made by `journal.ts` for what a download builds, by `referenced-import.ts` for what is added
 * where it stands.
 */

import type { CID } from 'multiformats/cid'
import { fileIdOf } from '../blockstore/reference-codec.ts'
import type { NewReference, ReferencedFile, References } from '../blockstore/references.ts'
import { Batcher } from '../common/batcher.ts'
import { type BlockKey, blockKey } from '../dag/cid.ts'
import { leafBlockLength, leafFormOf } from '../dag/leaf-form.ts'

export interface NotedFile {
  readonly id: number
  /** As in `FileRecord`. */
  readonly name: string
  /** The database knows it, or will with what is noted next. */
  isRecorded: boolean
}

/** How a file was when it was whole. */
export interface WholeFile {
  size: number
  mtimeNs: bigint
}

/** A leaf that is in its place. */
export interface PlacedLeaf {
  cid: CID
  offset: number
  content: Uint8Array
}

interface Entry {
  file: ReferencedFile | undefined
  reference: NewReference | undefined
}

export interface TreeNotesOptions {
  /** Of the next file: one more than any that the tree has. Default 0. */
  nextIndex?: number
  /** Called with each block that can be read from its file from now on. */
  onNoted?: ((key: BlockKey, blockBytes: number) => void) | undefined
}

export class TreeNotes {
  readonly #references: References
  readonly #treeId: number
  readonly #onNoted: TreeNotesOptions['onNoted']
  #nextIndex: number
  readonly #entries = new Batcher((entries: Entry[]) => this.#record(entries))

  constructor(references: References, treeId: number, { nextIndex = 0, onNoted }: TreeNotesOptions = {}) {
    this.#references = references
    this.#treeId = treeId
    this.#nextIndex = nextIndex
    this.#onNoted = onNoted
  }

  /** True if the tree has no files. */
  get isEmpty(): boolean {
    return this.#nextIndex === 0
  }

  newFile(name: string): NotedFile {
    return { id: fileIdOf(this.#treeId, this.#nextIndex++), name, isRecorded: false }
  }

  /** Returns once the leaf can be found again. One that cannot be made again from its content is passed over. */
  async addLeaf(file: NotedFile, leaf: PlacedLeaf): Promise<void> {
    await this.add(file, { reference: referenceTo(file, leaf) })
  }

  /** The file will not be written to any more. @param leaf - the block that all its content is in, if there is one */
  async addWhole(file: NotedFile, whole: WholeFile, leaf?: PlacedLeaf): Promise<void> {
    await this.add(file, { whole, reference: leaf && referenceTo(file, leaf) })
  }

  /** What {@link addLeaf} and {@link addWhole} do, with a reference that is made already. */
  async add(
    file: NotedFile,
    { whole, reference }: { whole?: WholeFile | undefined; reference: NewReference | undefined },
  ): Promise<void> {
    const isNews = whole !== undefined || !file.isRecorded
    if (!isNews && reference === undefined) return
    file.isRecorded = true
    const { id, name } = file
    const state = whole && { size: whole.size, mtimeNs: String(whole.mtimeNs) }
    await this.#entries.add({ file: isNews ? { id, name, ...state } : undefined, reference })
  }

  /** Waits for what is being noted. */
  async idle(): Promise<void> {
    await this.#entries.idle()
  }

  /** The tree is whole, and about to be moved to where it will stay. */
  async markWhole(): Promise<void> {
    await this.idle()
    await this.#references.markWhole(this.#treeId)
  }

  /**
   * The tree is whole and stands at `path`. What stood there before is forgotten if it was the same, or nothing of it is
   * left. Otherwise others may rely on it: the same files, added with other settings, are other blocks.
   *
   * @param builtAt - where it was built: what earlier runs have left there is forgotten too
   */
  async finish(path: string, root: CID, { builtAt }: { builtAt?: string } = {}): Promise<void> {
    await this.#references.finishTree(this.#treeId, { path, root })
    for await (const tree of this.#references.trees()) {
      if (tree.id === this.#treeId) continue
      const stoodHere = tree.path === path && tree.state === 'finished'
      const isWorthless = async () => tree.root === root.toString() || !(await this.#references.hasUnchangedFile(tree))
      if (tree.path === builtAt || (stoodHere && (await isWorthless()))) await this.#references.forgetTree(tree.id)
    }
  }

  /** Nothing of it is of any worth. */
  async forget(): Promise<void> {
    await this.idle()
    await this.#references.forgetTree(this.#treeId)
  }

  async #record(entries: Entry[]): Promise<undefined[]> {
    const files = entries.flatMap(({ file }) => file ?? [])
    const references = entries.flatMap(({ reference }) => reference ?? [])
    await this.#references.record(files, references)
    for (const { key, form, length } of references) this.#onNoted?.(key, leafBlockLength(form, length))
    return new Array(entries.length).fill(undefined)
  }
}

/** How {@link TreeNotes.add} takes a leaf; undefined for one that cannot be made again from its content. */
export function referenceTo({ id }: NotedFile, { cid, offset, content }: PlacedLeaf): NewReference | undefined {
  const form = leafFormOf(cid, content)
  return form && { key: blockKey(cid), fileId: id, offset, length: content.byteLength, form }
}
