/**
 * Which blocks of a tree to ask for next: the state of one download walk, without I/O. The exporter fetches what
 * {@link Walk.nextNode} and {@link Walk.nextLeaf} name, gives nodes back with {@link Walk.resolve}, and writes leaves at
 * their offsets.
 *
 * Nodes that have arrived wait as cursors over their children, files first and in order, so that few files are open at
 * once. How many nodes are asked for ahead, and how many bytes of them are held, is bounded whatever the tree looks
 * like.
 */

import type { CID } from 'multiformats/cid'
import { P2PError } from '../common/errors.ts'
import { MiB } from '../common/units.ts'
import { isIdentity, RAW } from '../dag/cid.ts'
import type { DecodedNode, FileChild } from './decode.ts'
import type { DirectoryEntry } from './directory-entry.ts'
import { isInPlace, type Shard } from './shard.ts'

const MAX_DEPTH = 256
/** Inner nodes asked for and not arrived. */
const MAX_NODES_AHEAD = 32
/** Nodes in the place of leaves, asked for and not arrived. */
const MAX_LEAF_NODES_AHEAD = 128
/** Encoded bytes of the nodes whose children are not all asked for: above the first mark no more nodes are asked for. */
const MAX_HELD_BYTES = 8 * MiB
/** Where those that were on their way bring so many more, the tree is made to be too much. */
const MAX_HELD_CHILDREN = 500_000
/** A child with no more content may be a leaf in dag-pb clothes. */
const MAX_LEAF_BYTES = 2 * MiB

/** A file of the result. */
export interface WalkFile {
  /** Counts up from 0 in the order in which files are found. */
  id: number
  /** Names from the root of the result down; empty if the result is this file. */
  path: readonly string[]
  /** Size in bytes; undefined while the file's only block has not arrived. */
  bytes: number | undefined
}

/** A place in the result where a block's content belongs. */
export interface Place {
  file: WalkFile
  offset: number
}

/** A leaf to fetch and write. */
export interface LeafStep extends Place {
  cid: CID
  /** The content's size; undefined for a file of one raw block whose folder does not say. */
  bytes: number | undefined
  /** What to expect where `bytes` is not known; not to be trusted. */
  expectedBytes: number
}

/** A block to fetch, decode and give to {@link Walk.resolve}. */
export interface NodeStep {
  cid: CID
  /** Size of the content below; undefined for what hangs in a folder. */
  contentBytes: number | undefined
  context: NodeContext
}

type NodeContext =
  | { kind: 'root' }
  | { kind: 'file'; file: WalkFile; offset: number; depth: number }
  | { kind: 'entry'; path: readonly string[]; depth: number; tsize: number }
  | { kind: 'shard'; path: readonly string[]; depth: number; place: ShardPlace }

/** Where a shard is in its folder. */
interface ShardPlace {
  /** Those that lead to it, from the root shard down. */
  buckets: readonly number[]
  fanout: number
}

/** What resolving a node brings to light. */
export type Found =
  | { type: 'folder'; path: readonly string[] }
  | { type: 'link'; path: readonly string[]; target: string }
  | { type: 'file'; file: WalkFile }
  /** Content that is inside the node itself; `leaf` is the node if there is nothing else in it. */
  | { type: 'content'; place: Place; content: Uint8Array; leaf: CID | undefined }
  | { type: 'refused'; path: readonly string[]; reason: string }

interface FileCursor {
  kind: 'file'
  file: WalkFile
  base: number
  depth: number
  children: FileChild[]
  heldBytes: number
  nextLeaf: number
  nextNode: number
}

interface FolderCursor {
  kind: 'folder'
  path: readonly string[]
  depth: number
  entries: DirectoryEntry[]
  subShards: { cid: CID; place: ShardPlace }[]
  heldBytes: number
  nextLeaf: number
  nextNode: number
  nextShard: number
}

type Cursor = FileCursor | FolderCursor

export class Walk {
  readonly #checkName: (name: string) => void
  readonly #cursors: Cursor[] = []
  #root: CID | undefined
  #nodesAhead = 0
  #heldBytes = 0
  #heldChildren = 0
  #files = 0
  #totalBytes = 0
  /** Parts whose size nothing has told: the root until it arrives, and parts of sharded folders. */
  #unmeasured = 1

  /** @param checkName - throws for a name that must not reach the disk; its entry is then refused */
  constructor(root: CID, checkName: (name: string) => void) {
    this.#root = root
    this.#checkName = checkName
  }

  /** True when every block has been named and every node resolved. */
  get done(): boolean {
    return this.#root === undefined && this.#nodesAhead === 0 && this.#cursors.length === 0
  }

  /**
   * Bytes of content in the whole tree, or null while parts of it are not known. Folders say how large their entries
   * are before those arrive; what they say of a subfolder counts its nodes too, so the figure can shrink a little.
   */
  get totalBytes(): number | null {
    return this.#unmeasured > 0 ? null : this.#totalBytes
  }

  /**
   * The next inner node to ask for, or undefined if there is none or enough are on their way.
   *
   * @param starved - nothing else is in flight, so one more must go out whatever is held
   */
  nextNode(starved: boolean): NodeStep | undefined {
    if (!this.#mayGrow(MAX_NODES_AHEAD, starved)) return undefined
    const step = this.#pickNode()
    if (step !== undefined) this.#nodesAhead++
    return step
  }

  /**
   * The next leaf to ask for, or undefined if none is known now.
   *
   * @param before - leaves of a file that start at this offset or after it are left for later
   * @param starved - nothing else is in flight
   */
  nextLeaf(before: number, starved: boolean): LeafStep | NodeStep | undefined {
    const mayGrow = this.#mayGrow(MAX_LEAF_NODES_AHEAD, starved)
    for (let index = 0; index < this.#cursors.length; index++) {
      const cursor = this.#cursors[index]!
      const step = cursor.kind === 'file' ? this.#leafOfFile(cursor, before, mayGrow) : this.#leafOfFolder(cursor)
      if (this.#isSpent(cursor)) {
        this.#drop(index)
        index--
      }
      if (step !== undefined) return step
    }
    return undefined
  }

  /**
   * Takes a node that was asked for.
   *
   * @param blockBytes - size of the encoded block
   * @throws P2PError `bad-data` where the node does not fit its place in the tree
   */
  resolve(step: NodeStep, node: DecodedNode, blockBytes: number): Found[] {
    this.#nodesAhead--
    const { context } = step
    switch (context.kind) {
      case 'file':
        return this.#resolveInFile(step.cid, context, node, blockBytes, step.contentBytes!)
      case 'shard':
        this.#unmeasured--
        if (node.kind !== 'shard' || node.fanout !== context.place.fanout) {
          throw new P2PError('bad-data', `Block ${step.cid} is not part of a sharded folder`)
        }
        return this.#openFolder(context.path, context.depth, node, blockBytes, context.place.buckets)
      case 'root':
        this.#unmeasured--
        return this.#resolveEntry(step.cid, [], 0, node, blockBytes)
      case 'entry':
        this.#totalBytes -= context.tsize
        return this.#resolveEntry(step.cid, context.path, context.depth, node, blockBytes)
    }
  }

  /** Whether one more node may be asked for, which may bring more children than it uses up. */
  #mayGrow(maxNodesAhead: number, starved: boolean): boolean {
    if (starved && this.#nodesAhead === 0) return true
    return this.#nodesAhead < maxNodesAhead && this.#heldBytes < MAX_HELD_BYTES
  }

  #pickNode(): NodeStep | undefined {
    if (this.#root !== undefined) {
      const cid = this.#root
      this.#root = undefined
      return { cid, contentBytes: undefined, context: { kind: 'root' } }
    }
    for (let index = 0; index < this.#cursors.length; index++) {
      const cursor = this.#cursors[index]!
      const step = cursor.kind === 'file' ? this.#nodeOfFile(cursor) : this.#nodeOfFolder(cursor)
      if (this.#isSpent(cursor)) {
        this.#drop(index)
        index--
      }
      if (step !== undefined) return step
    }
    return undefined
  }

  #nodeOfFile(cursor: FileCursor): NodeStep | undefined {
    while (cursor.nextNode < cursor.children.length) {
      const child = cursor.children[cursor.nextNode++]!
      if (!mayBeLeaf(child)) return nodeOf(cursor, child)
    }
    return undefined
  }

  #leafOfFile(cursor: FileCursor, before: number, mayGrow: boolean): LeafStep | NodeStep | undefined {
    while (cursor.nextLeaf < cursor.children.length) {
      const child = cursor.children[cursor.nextLeaf]!
      const offset = cursor.base + child.offset
      if (mayBeLeaf(child) && (offset >= before || (child.cid.code !== RAW && !mayGrow))) return undefined
      cursor.nextLeaf++
      if (!mayBeLeaf(child)) continue
      if (child.cid.code === RAW) {
        return { cid: child.cid, file: cursor.file, offset, bytes: child.bytes, expectedBytes: child.bytes }
      }
      this.#nodesAhead++
      return nodeOf(cursor, child)
    }
    return undefined
  }

  #nodeOfFolder(cursor: FolderCursor): NodeStep | undefined {
    while (cursor.nextNode < cursor.entries.length) {
      const entry = cursor.entries[cursor.nextNode++]!
      if (entry.cid.code === RAW) continue
      const path = [...cursor.path, entry.name]
      const context = { kind: 'entry', path, depth: cursor.depth + 1, tsize: entry.tsize } as const
      return { cid: entry.cid, contentBytes: undefined, context }
    }
    const shard = cursor.subShards[cursor.nextShard]
    if (shard === undefined) return undefined
    cursor.nextShard++
    const context = { kind: 'shard', path: cursor.path, depth: cursor.depth + 1, place: shard.place } as const
    return { cid: shard.cid, contentBytes: undefined, context }
  }

  #leafOfFolder(cursor: FolderCursor): LeafStep | undefined {
    while (cursor.nextLeaf < cursor.entries.length) {
      const entry = cursor.entries[cursor.nextLeaf++]!
      if (entry.cid.code !== RAW) continue
      const file = this.#file([...cursor.path, entry.name], undefined)
      const expectedBytes = Math.min(entry.tsize, MAX_LEAF_BYTES)
      return { cid: entry.cid, file, offset: 0, bytes: undefined, expectedBytes }
    }
    return undefined
  }

  #resolveEntry(cid: CID, path: readonly string[], depth: number, node: DecodedNode, blockBytes: number): Found[] {
    switch (node.kind) {
      case 'symlink':
        return [{ type: 'link', path, target: node.target }]
      case 'directory':
      case 'shard':
        return [{ type: 'folder', path }, ...this.#openFolder(path, depth, node, blockBytes)]
      case 'leaf': {
        const file = this.#file(path, node.content.byteLength)
        this.#totalBytes += node.content.byteLength
        return [
          { type: 'file', file },
          { type: 'content', place: { file, offset: 0 }, content: node.content, leaf: cid },
        ]
      }
      case 'file': {
        const file = this.#file(path, node.bytes)
        this.#totalBytes += node.bytes
        return [{ type: 'file', file }, ...this.#openFile(file, 0, depth, node, blockBytes)]
      }
    }
  }

  #resolveInFile(
    cid: CID,
    context: Extract<NodeContext, { kind: 'file' }>,
    node: DecodedNode,
    blockBytes: number,
    contentBytes: number,
  ): Found[] {
    const { file, offset, depth } = context
    if (node.kind !== 'leaf' && node.kind !== 'file') {
      throw new P2PError('bad-data', `Block ${cid} is a ${node.kind} in the middle of a file`)
    }
    const bytes = node.kind === 'leaf' ? node.content.byteLength : node.bytes
    if (bytes !== contentBytes) {
      throw new P2PError('bad-data', `Block ${cid} holds ${bytes} bytes where its parent says ${contentBytes}`)
    }
    if (node.kind === 'file') return this.#openFile(file, offset, depth, node, blockBytes)
    return [{ type: 'content', place: { file, offset }, content: node.content, leaf: cid }]
  }

  #openFile(
    file: WalkFile,
    base: number,
    depth: number,
    node: Extract<DecodedNode, { kind: 'file' }>,
    blockBytes: number,
  ): Found[] {
    const cursor: FileCursor = {
      kind: 'file',
      file,
      base,
      depth,
      children: node.children,
      heldBytes: blockBytes,
      nextLeaf: 0,
      nextNode: 0,
    }
    this.#hold(cursor)
    if (node.content.byteLength === 0) return []
    return [{ type: 'content', place: { file, offset: base }, content: node.content, leaf: undefined }]
  }

  #openFolder(
    path: readonly string[],
    depth: number,
    node: Extract<DecodedNode, { kind: 'directory' | 'shard' }>,
    blockBytes: number,
    buckets: readonly number[] = [],
  ): Found[] {
    const refused: Found[] = []
    const seen = new Set<string>()
    const entries = node.entries.filter(({ name }, index) => {
      try {
        this.#checkName(name)
        if (seen.has(name)) throw new P2PError('bad-data', 'the folder has two entries of this name')
        // Else another shard of the folder could have the same name once more.
        if (node.kind === 'shard' && !isInPlace(name, [...buckets, node.entryBuckets[index]!], node.fanout)) {
          throw new P2PError('bad-data', 'it does not belong in this part of the folder')
        }
        seen.add(name)
        return true
      } catch (error) {
        refused.push({ type: 'refused', path: [...path, name], reason: (error as Error).message })
        return false
      }
    })
    for (const { tsize } of entries) this.#totalBytes += tsize
    const subShards = node.kind === 'shard' ? placed(node, buckets) : []
    this.#unmeasured += subShards.length
    this.#hold({
      kind: 'folder',
      path,
      depth,
      entries,
      subShards,
      heldBytes: blockBytes,
      nextLeaf: 0,
      nextNode: 0,
      nextShard: 0,
    })
    return refused
  }

  #file(path: readonly string[], bytes: number | undefined): WalkFile {
    return { id: this.#files++, path, bytes }
  }

  /** Keeps a cursor in its place: files before folders, in the order of their content; the deepest folder first. */
  #hold(cursor: Cursor): void {
    if (cursor.depth > MAX_DEPTH) throw new P2PError('bad-data', `The tree is deeper than ${MAX_DEPTH} levels`)
    this.#heldBytes += cursor.heldBytes
    this.#heldChildren += childCount(cursor)
    if (this.#heldChildren > MAX_HELD_CHILDREN) {
      throw new P2PError(
        'limit',
        `The tree has over ${MAX_HELD_CHILDREN} entries side by side that cannot be worked off`,
      )
    }
    if (this.#isSpent(cursor)) {
      this.#heldBytes -= cursor.heldBytes
      this.#heldChildren -= childCount(cursor)
      return
    }
    const place = this.#cursors.findIndex((other) => comesBefore(cursor, other))
    this.#cursors.splice(place === -1 ? this.#cursors.length : place, 0, cursor)
  }

  #isSpent(cursor: Cursor): boolean {
    if (cursor.kind === 'file') {
      const end = cursor.children.length
      return cursor.nextLeaf >= end && cursor.nextNode >= end
    }
    const end = cursor.entries.length
    return cursor.nextLeaf >= end && cursor.nextNode >= end && cursor.nextShard >= cursor.subShards.length
  }

  #drop(index: number): void {
    const [cursor] = this.#cursors.splice(index, 1)
    this.#heldBytes -= cursor!.heldBytes
    this.#heldChildren -= childCount(cursor!)
  }
}

export function isLeafStep(step: LeafStep | NodeStep): step is LeafStep {
  return 'file' in step
}

function placed({ fanout, subShards, subShardBuckets }: Shard, buckets: readonly number[]): FolderCursor['subShards'] {
  return subShards.map((cid, index) => ({ cid, place: { fanout, buckets: [...buckets, subShardBuckets[index]!] } }))
}

function mayBeLeaf(child: FileChild): boolean {
  return child.cid.code === RAW || isIdentity(child.cid) || child.bytes <= MAX_LEAF_BYTES
}

function nodeOf(cursor: FileCursor, child: FileChild): NodeStep {
  return {
    cid: child.cid,
    contentBytes: child.bytes,
    context: { kind: 'file', file: cursor.file, offset: cursor.base + child.offset, depth: cursor.depth + 1 },
  }
}

function comesBefore(cursor: Cursor, other: Cursor): boolean {
  if (cursor.kind === 'folder') return other.kind === 'folder' && cursor.depth >= other.depth
  if (other.kind === 'folder') return true
  if (cursor.file.id !== other.file.id) return cursor.file.id < other.file.id
  return cursor.base < other.base || (cursor.base === other.base && cursor.depth > other.depth)
}

function childCount(cursor: Cursor): number {
  return cursor.kind === 'file' ? cursor.children.length : cursor.entries.length + cursor.subShards.length
}
