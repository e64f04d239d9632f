/**
 * Nodes of a walk that have arrived, as cursors over their children: which inner node and which leaf of each is next.
 * Used by `walk.ts` alone.
 */

import { CID } from 'multiformats/cid'
import { KiB, MiB } from '../common/units.ts'
import { isIdentity, RAW } from '../dag/cid.ts'
import type { FileChild } from './decode.ts'
import type { DirectoryEntry } from './directory-entry.ts'
import type { FirstLeaf, LeafStep, NodeStep, ShardPlace, WalkFile } from './walk-steps.ts'

/** A child with no more content may be a leaf in dag-pb clothes. */
const MAX_LEAF_BYTES = 2 * MiB
/** What a file is taken to have whose folder does not say. */
const UNKNOWN_LEAF_BYTES = 256 * KiB

/** How a node lies in the tree, and how it is gone through. */
export interface Position {
  depth: number
  /** Encoded bytes of the node. */
  heldBytes: number
  /** After the last leaf come those before the first. */
  firstLeaf: FirstLeaf
}

export interface Cursor {
  readonly depth: number
  readonly heldBytes: number
  readonly childCount: number
  /** Content of the leaves that are left to name, as far as it is known. */
  readonly contentBytes: number
  /** Whether inner nodes, or leaves, are left to name. */
  readonly hasNodes: boolean
  readonly hasLeaves: boolean
  /** The next inner node; only while {@link hasNodes}. */
  takeNode(): NodeStep
  /**
   * The next leaf, or what stands in a leaf's place and has to be decoded first; undefined where it has to wait.
   *
   * @param before - leaves of a file that start at this offset or after it are left for later
   * @param mayGrow - whether one that has to be decoded may be asked for
   */
  takeLeaf(before: number, mayGrow: boolean): LeafStep | NodeStep | undefined
  /** Files before folders, in the order of their content; the deepest folder first. */
  comesBefore(other: Cursor): boolean
}

/**
 * The children of a file's node, in about as many bytes as the node has: as objects they take ten times as much, and of
 * files with small chunks there are many.
 */
class FileChildren {
  readonly length: number
  readonly #cids: Uint8Array
  /** Where the CID of each ends. */
  readonly #ends: Uint32Array
  readonly #offsets: Float64Array
  readonly #bytes: Float64Array
  readonly #kinds: Uint8Array

  constructor(children: readonly FileChild[]) {
    this.length = children.length
    this.#cids = Buffer.concat(children.map(({ cid }) => cid.bytes))
    this.#ends = new Uint32Array(children.length)
    this.#offsets = Float64Array.from(children, ({ offset }) => offset)
    this.#bytes = Float64Array.from(children, ({ bytes }) => bytes)
    this.#kinds = Uint8Array.from(children, kindOf)
    let end = 0
    for (const [index, { cid }] of children.entries()) {
      end += cid.bytes.byteLength
      this.#ends[index] = end
    }
  }

  at(index: number): FileChild {
    const cid = CID.decode(this.#cids.slice(this.#ends[index - 1] ?? 0, this.#ends[index]))
    return { cid, offset: this.offsetAt(index), bytes: this.bytesAt(index) }
  }

  offsetAt(index: number): number {
    return this.#offsets[index]!
  }

  bytesAt(index: number): number {
    return this.#bytes[index]!
  }

  isRaw(index: number): boolean {
    return this.#kinds[index] === RAW_LEAF
  }

  mayBeLeaf(index: number): boolean {
    return this.#kinds[index] !== INNER_NODE
  }
}

const INNER_NODE = 0
const RAW_LEAF = 1
const MAY_BE_LEAF = 2

function kindOf({ cid, bytes }: FileChild): number {
  if (cid.code === RAW) return RAW_LEAF
  return isIdentity(cid) || bytes <= MAX_LEAF_BYTES ? MAY_BE_LEAF : INNER_NODE
}

export class FileCursor implements Cursor {
  readonly depth: number
  readonly heldBytes: number
  readonly #file: WalkFile
  readonly #base: number
  readonly #children: FileChildren
  readonly #firstLeaf: number
  #nextNode: number
  /** Counted from the first. */
  #nextLeaf: number
  #contentBytes = 0

  /** @param base - where in the file the node's content starts */
  constructor(file: WalkFile, base: number, children: FileChild[], { depth, heldBytes, firstLeaf }: Position) {
    this.#firstLeaf = firstLeaf(children.length)
    this.#file = file
    this.#base = base
    this.#children = new FileChildren(children)
    this.depth = depth
    this.heldBytes = heldBytes
    this.#nextNode = this.#nodeFrom(0)
    this.#nextLeaf = this.#leafFrom(0)
    for (const [index, { bytes }] of children.entries()) {
      if (this.#children.mayBeLeaf(index)) this.#contentBytes += bytes
    }
  }

  get childCount(): number {
    return this.#children.length
  }

  get contentBytes(): number {
    return this.#contentBytes
  }

  get hasNodes(): boolean {
    return this.#nextNode < this.#children.length
  }

  get hasLeaves(): boolean {
    return this.#nextLeaf < this.#children.length
  }

  takeNode(): NodeStep {
    const child = this.#children.at(this.#nextNode)
    this.#nextNode = this.#nodeFrom(this.#nextNode + 1)
    return this.#nodeOf(child)
  }

  takeLeaf(before: number, mayGrow: boolean): LeafStep | NodeStep | undefined {
    const index = this.#placeOf(this.#nextLeaf)
    const offset = this.#base + this.#children.offsetAt(index)
    const isRaw = this.#children.isRaw(index)
    if (offset >= before || (!isRaw && !mayGrow)) return undefined
    const child = this.#children.at(index)
    this.#nextLeaf = this.#leafFrom(this.#nextLeaf + 1)
    this.#contentBytes -= child.bytes
    if (!isRaw) return this.#nodeOf(child)
    return { cid: child.cid, file: this.#file, offset, bytes: child.bytes, expectedBytes: child.bytes }
  }

  comesBefore(other: Cursor): boolean {
    if (!(other instanceof FileCursor)) return true
    if (this.#file.id !== other.#file.id) return this.#file.id < other.#file.id
    return this.#base < other.#base || (this.#base === other.#base && this.depth > other.depth)
  }

  #nodeFrom(index: number): number {
    while (index < this.#children.length && this.#children.mayBeLeaf(index)) index++
    return index
  }

  #leafFrom(index: number): number {
    while (index < this.#children.length && !this.#children.mayBeLeaf(this.#placeOf(index))) index++
    return index
  }

  /** Of the child that is the index-th to be gone through for its leaf. */
  #placeOf(index: number): number {
    return (this.#firstLeaf + index) % this.#children.length
  }

  #nodeOf({ cid, offset, bytes }: FileChild): NodeStep {
    const context = { kind: 'file', file: this.#file, offset: this.#base + offset, depth: this.depth + 1 } as const
    return { cid, contentBytes: bytes, context }
  }
}

export interface SubShard {
  cid: CID
  place: ShardPlace
}

export class FolderCursor implements Cursor {
  readonly depth: number
  readonly heldBytes: number
  readonly #path: readonly string[]
  readonly #newFile: (path: readonly string[]) => WalkFile
  readonly #nodes: DirectoryEntry[]
  readonly #leaves: DirectoryEntry[]
  readonly #subShards: SubShard[]
  #nextNode = 0
  #nextLeaf = 0
  #nextShard = 0

  constructor(
    path: readonly string[],
    { entries, subShards }: { entries: DirectoryEntry[]; subShards: SubShard[] },
    { depth, heldBytes, firstLeaf }: Position,
    newFile: (path: readonly string[]) => WalkFile,
  ) {
    this.#path = path
    this.#nodes = entries.filter(({ cid }) => cid.code !== RAW)
    const leaves = entries.filter(({ cid }) => cid.code === RAW)
    const first = firstLeaf(leaves.length)
    this.#leaves = [...leaves.slice(first), ...leaves.slice(0, first)]
    this.#subShards = subShards
    this.depth = depth
    this.heldBytes = heldBytes
    this.#newFile = newFile
  }

  get childCount(): number {
    return this.#nodes.length + this.#leaves.length + this.#subShards.length
  }

  /** What a folder says of its entries is not to be relied on. */
  get contentBytes(): number {
    return 0
  }

  get hasNodes(): boolean {
    return this.#nextNode < this.#nodes.length || this.#nextShard < this.#subShards.length
  }

  get hasLeaves(): boolean {
    return this.#nextLeaf < this.#leaves.length
  }

  takeNode(): NodeStep {
    const entry = this.#nodes[this.#nextNode]
    if (entry === undefined) {
      const { cid, place } = this.#subShards[this.#nextShard++]!
      const context = { kind: 'shard', path: this.#path, depth: this.depth + 1, place } as const
      return { cid, contentBytes: undefined, context }
    }
    this.#nextNode++
    const path = [...this.#path, entry.name]
    const context = { kind: 'entry', path, depth: this.depth + 1, tsize: entry.tsize } as const
    return { cid: entry.cid, contentBytes: undefined, context }
  }

  takeLeaf(): LeafStep {
    const { cid, name, tsize } = this.#leaves[this.#nextLeaf++]!
    const file = this.#newFile([...this.#path, name])
    return {
      cid,
      file,
      offset: 0,
      bytes: undefined,
      expectedBytes: Math.min(tsize || UNKNOWN_LEAF_BYTES, MAX_LEAF_BYTES),
    }
  }

  comesBefore(other: Cursor): boolean {
    return other instanceof FolderCursor && this.depth >= other.depth
  }
}

/** Cursors in the order in which they are worked off, each as long as it has something left. */
export class CursorQueue {
  readonly #hasNext: (cursor: Cursor) => boolean
  readonly #cursors: Cursor[] = []

  constructor(hasNext: (cursor: Cursor) => boolean) {
    this.#hasNext = hasNext
  }

  add(cursor: Cursor): void {
    if (!this.#hasNext(cursor)) return
    const place = this.#cursors.findIndex((other) => cursor.comesBefore(other))
    this.#cursors.splice(place === -1 ? this.#cursors.length : place, 0, cursor)
  }

  /** What `take` gives for the first cursor for which it gives anything, and that cursor. */
  next<Step>(take: (cursor: Cursor) => Step | undefined): { step: Step; cursor: Cursor } | undefined {
    for (const [index, cursor] of this.#cursors.entries()) {
      const step = take(cursor)
      if (step === undefined) continue
      if (!this.#hasNext(cursor)) this.#cursors.splice(index, 1)
      return { step, cursor }
    }
    return undefined
  }
}
