/**
 * What is in place of one result while it is built, so that the same command goes on from there after any end of the
 * process: notes files and blocks in the reference index, many at a time, and tells what an earlier run has left.
 *
 * Used by `output.ts` alone.
 */

import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { fileIdOf, fileIndexOf, treeIdOf } from '../blockstore/reference-codec.ts'
import type { NewReference, ReferencedFile, References } from '../blockstore/references.ts'
import { Batcher } from '../common/batcher.ts'
import { blockKey } from '../dag/cid.ts'
import { leafFormOf } from '../dag/leaf-form.ts'

export interface JournalOptions {
  references: References
  root: CID
  /** Where the result is built. */
  temporary: string
  /** Where it will stay. */
  target: string
  /** Names this boot of the machine: what was noted in another one is read and hashed before it is believed. */
  bootId: string
}

/** A file of the result. */
export interface JournalFile {
  id: number
  /** As in `FileRecord`. */
  name: string
  /** The database knows it. */
  isRecorded: boolean
  /** What an earlier run knew of it; under the same id if that is believed. */
  earlier: ReferencedFile | undefined
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

export class Journal {
  readonly #options: JournalOptions
  readonly #treeId: number
  /** By name. */
  readonly #earlier: Map<string, ReferencedFile>
  #nextIndex: number
  readonly #notes = new Batcher((entries: Entry[]) => this.#record(entries))

  private constructor(
    options: JournalOptions,
    treeId: number,
    earlier: Map<string, ReferencedFile>,
    nextIndex: number,
  ) {
    this.#options = options
    this.#treeId = treeId
    this.#earlier = earlier
    this.#nextIndex = nextIndex
  }

  /** Takes up what earlier runs have noted. @throws P2PError `io`, `disk-full` */
  static async open(options: JournalOptions): Promise<Journal> {
    const { references, root, temporary, bootId } = options
    const earlier = new Map<string, ReferencedFile>()
    let treeId: number | undefined
    let nextIndex = 0
    for await (const tree of references.treesOf(root)) {
      if (tree.state !== 'building' || tree.path !== temporary) continue
      if (tree.bootId === bootId) treeId = tree.id
      for await (const file of references.filesOf(tree.id)) {
        earlier.set(file.name, file)
        if (tree.id === treeId) nextIndex = fileIndexOf(file.id) + 1
      }
    }
    treeId ??= await references.createTree({ path: temporary, root, bootId })
    return new Journal(options, treeId, earlier, nextIndex)
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
    await this.#add(file, whole, { ...reference, fileId: file.id, key: blockKey(cid) })
    return reference.length
  }

  /** Returns once the leaf can be found again. One that cannot be made again from its content is passed over. */
  async noteLeaf(file: JournalFile, leaf: PlacedLeaf): Promise<void> {
    await this.#add(file, undefined, referenceTo(file, leaf))
  }

  /** The file will not be written to any more. @param leaf - the block that all its content is in, if there is one */
  async noteWhole(file: JournalFile, whole: WholeFile, leaf?: PlacedLeaf): Promise<void> {
    await this.#add(file, whole, leaf && referenceTo(file, leaf))
  }

  /** The result is whole and in its place; what the same place was known for before is forgotten. */
  async finish(): Promise<void> {
    const { references, root, target, temporary } = this.#options
    await references.finishTree(this.#treeId, target)
    for await (const { id, path } of references.treesOf(root)) {
      if (id !== this.#treeId && (path === target || path === temporary)) await references.forgetTree(id)
    }
  }

  /** Waits for what is being noted. A result that nothing was noted of leaves no trace. */
  async close(): Promise<void> {
    await this.#notes.idle()
    if (this.#nextIndex === 0 && !this.resumes) await this.#options.references.forgetTree(this.#treeId)
  }

  #newFile(name: string, earlier: ReferencedFile | undefined): JournalFile {
    return { id: fileIdOf(this.#treeId, this.#nextIndex++), name, isRecorded: false, earlier }
  }

  /** Whether the file is still as the earlier run left it. */
  async #stands({ name, size, mtimeNs }: ReferencedFile, bytes: number | undefined): Promise<boolean> {
    const stats = await lstat(join(this.#options.temporary, name), { bigint: true }).catch(() => undefined)
    if (stats?.isFile() !== true) return false
    if (mtimeNs !== undefined && (String(stats.mtimeNs) !== mtimeNs || Number(stats.size) !== size)) return false
    return bytes === undefined || Number(stats.size) === bytes
  }

  async #add(file: JournalFile, whole: WholeFile | undefined, reference: NewReference | undefined): Promise<void> {
    const isNews = whole !== undefined || !file.isRecorded
    if (!isNews && reference === undefined) return
    file.isRecorded = true
    const { id, name } = file
    const state = whole && { size: whole.size, mtimeNs: String(whole.mtimeNs) }
    await this.#notes.add({ file: isNews ? { id, name, ...state } : undefined, reference })
  }

  async #record(entries: Entry[]): Promise<undefined[]> {
    const files = entries.flatMap(({ file }) => file ?? [])
    const references = entries.flatMap(({ reference }) => reference ?? [])
    await this.#options.references.record(files, references)
    return new Array(entries.length).fill(undefined)
  }
}

function referenceTo({ id }: JournalFile, { cid, offset, content }: PlacedLeaf): NewReference | undefined {
  const form = leafFormOf(cid, content)
  return form && { key: blockKey(cid), fileId: id, offset, length: content.byteLength, form }
}
