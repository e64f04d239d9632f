/**
 * An import that leaves files where they stand: leaves are not copied into the store but noted as references into the
 * user's files. What is noted holds as long as nobody changes them. Used by `node/operations/add.ts`.
 */

import type { BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { relative } from 'node:path'
import type { CID } from 'multiformats/cid'
import type { NewReference, References } from '../blockstore/references.ts'
import { localIoError } from '../common/errors.ts'
import type { Storing } from './storing.ts'
import { changedError } from './tree.ts'
import { type NotedFile, type PlacedLeaf, referenceTo, TreeNotes, type WholeFile } from './tree-notes.ts'

/** Of one file, that are noted together. */
const LEAVES_TOGETHER = 64

/** Takes the leaves of one file while it is read. */
export interface LeafTaker {
  putLeaf(leaf: PlacedLeaf & { block: Uint8Array }): Promise<void>
  /** The file has been read to its end. @throws P2PError `io` if it changed meanwhile */
  close(): Promise<void>
}

export class ReferencedImport {
  readonly #path: string
  readonly #notes: TreeNotes
  readonly #storing: Storing

  private constructor(path: string, notes: TreeNotes, storing: Storing) {
    this.#path = path
    this.#notes = notes
    this.#storing = storing
  }

  /** @param path - absolute path of the file or folder that is imported */
  static async open(references: References, path: string, storing: Storing): Promise<ReferencedImport> {
    const treeId = await storing.run(() => references.createTree({ path }))
    return new ReferencedImport(path, new TreeNotes(references, treeId), storing)
  }

  /** Whether the blocks of a root are served from what stands at a path. @throws P2PError `io` */
  static async stands(references: References, path: string, root: CID): Promise<boolean> {
    for await (const tree of references.trees()) {
      if (tree.state === 'finished' && tree.path === path && tree.root === root.toString()) return true
    }
    return false
  }

  /**
   * @param path - the file itself, or one below the folder
   * @param whole - how it was, if all of it has been read already
   */
  async openFile(path: string, whole?: WholeFile): Promise<LeafTaker> {
    const file = this.#notes.newFile(relative(this.#path, path))
    if (whole !== undefined) return this.#takeWhole(file, whole)
    const before = await statOf(path)
    let pending: NewReference[] = []
    const note = async () => {
      const references = pending
      pending = []
      await this.#storing.run(() => Promise.all(references.map((reference) => this.#notes.add(file, { reference }))))
    }
    return {
      putLeaf: async (leaf) => {
        const reference = referenceTo(file, leaf)
        if (reference !== undefined) pending.push(reference)
        if (pending.length >= LEAVES_TOGETHER) await note()
      },
      close: async () => {
        await note()
        const after = await statOf(path)
        if (after.mtimeNs !== before.mtimeNs || after.size !== before.size) throw changedError(path)
        const whole = { size: Number(after.size), mtimeNs: after.mtimeNs }
        await this.#storing.run(() => this.#notes.addWhole(file, whole))
      },
    }
  }

  /** Notes a small file and its leaves together. */
  #takeWhole(file: NotedFile, whole: WholeFile): LeafTaker {
    const leaves: PlacedLeaf[] = []
    return {
      putLeaf: async (leaf) => {
        leaves.push(leaf)
      },
      close: async () => {
        const [first, ...others] = leaves
        await this.#storing.run(async () => {
          for (const leaf of others) await this.#notes.addLeaf(file, leaf)
          await this.#notes.addWhole(file, whole, first)
        })
      },
    }
  }

  /** From now on the blocks are served from the files. @throws P2PError `io`, `disk-full` */
  async finish(root: CID): Promise<void> {
    await this.#storing.run(() => this.#notes.finish(this.#path, root))
  }

  /** The import has failed. */
  async forget(): Promise<void> {
    await this.#notes.forget()
  }
}

async function statOf(path: string): Promise<BigIntStats> {
  try {
    return await stat(path, { bigint: true })
  } catch (error) {
    throw localIoError(error, 'read', path)
  }
}
