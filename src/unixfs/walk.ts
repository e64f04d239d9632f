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
import { GiB, MiB } from '../common/units.ts'
import { whyRefused } from '../dag/block.ts'
import { type Cursor, CursorQueue, FileCursor, FolderCursor, type SubShard } from './cursors.ts'
import type { DecodedNode, FileChild, NodeMetadata } from './decode.ts'
import { isInPlace, type Shard } from './shard.ts'
import {
  type ByteRange,
  type FirstLeaf,
  isLeafStep,
  type LeafStep,
  type NodeContext,
  type NodeStep,
  overlap,
  type Place,
  type WalkFile,
} from './walk-steps.ts'

const MAX_DEPTH = 256
/** Inner nodes asked for and not arrived. */
const MAX_NODES_AHEAD = 32
/** Nodes in the place of leaves, asked for and not arrived. */
const MAX_LEAF_NODES_AHEAD = 128
/** Content of files whose leaves are known, or will be by the nodes that are asked for: with so much no more are. */
const MAX_CONTENT_AHEAD = GiB
/** Encoded bytes of the nodes whose children are not all asked for: above the first mark no more nodes are asked for. */
const MAX_HELD_BYTES = 8 * MiB
/** Where those that were on their way bring so many more, the tree is made to be too much. */
const MAX_HELD_CHILDREN = 500_000
/** A few nodes can stand for more folders than a disk holds, by having each other as entries over and over. */
const MAX_ENTRIES = 20_000_000

/** What resolving a node brings to light. */
export type Found =
  | { type: 'link'; path: readonly string[]; target: string; metadata: NodeMetadata | undefined }
  /** A file whose content follows in parts. */
  | { type: 'file'; file: WalkFile }
  /** A file with all its content; `leaf` as below. */
  | { type: 'whole-file'; file: WalkFile; content: Uint8Array; leaf: CID | undefined }
  /** Content that is inside the node itself; `leaf` is the node if there is nothing else in it. */
  | { type: 'content'; place: Place; content: Uint8Array; leaf: CID | undefined }
  /** A block that is no part of a file tree; it follows as a file. */
  | { type: 'opaque'; path: readonly string[]; cid: CID }
  | { type: 'refused'; path: readonly string[]; reason: string }

export interface WalkOptions {
  /** Throws for a name that must not reach the disk; its entry is then refused. */
  checkName: (name: string) => void
  /** Default: in order. Only for sinks that take content in any order. */
  firstLeaf?: FirstLeaf | undefined
  /** Of a single file, only what holds these bytes is fetched. Default: all. */
  range?: ByteRange | undefined
  /** The most entries in the tree, parts of sharded folders among them. Default 20,000,000. */
  maxEntries?: number | undefined
}

export class Walk {
  readonly #checkName: (name: string) => void
  readonly #firstLeaf: FirstLeaf
  readonly #range: ByteRange | undefined
  /** Nodes with inner nodes left to name, and nodes with leaves left: most have one kind only. */
  readonly #nodes = new CursorQueue((cursor) => cursor.hasNodes)
  readonly #leaves = new CursorQueue((cursor) => cursor.hasLeaves)
  #heldNodes = 0
  #root: CID | undefined
  #nodesAhead = 0
  #heldBytes = 0
  #heldChildren = 0
  #contentAhead = 0
  readonly #maxEntries: number
  #entries = 0
  #files = 0
  #totalBytes = 0
  /** Parts whose size nothing has told: the root until it arrives, and parts of sharded folders. */
  #unmeasured = 1

  constructor(root: CID, { checkName, firstLeaf = () => 0, range, maxEntries = MAX_ENTRIES }: WalkOptions) {
    this.#root = root
    this.#range = range
    this.#firstLeaf = firstLeaf
    this.#maxEntries = maxEntries
    this.#checkName = checkName
  }

  /** True when every block has been named and every node resolved. */
  get done(): boolean {
    return this.#root === undefined && this.#nodesAhead === 0 && this.#heldNodes === 0
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
    if (this.#contentAhead >= MAX_CONTENT_AHEAD && !starved) return undefined
    const step = this.#pickNode()
    if (step !== undefined) this.#askedFor(step)
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
    const next = this.#leaves.next((cursor) => {
      const contentBefore = cursor.contentBytes
      const step = cursor.takeLeaf(before, mayGrow)
      this.#contentAhead -= contentBefore - cursor.contentBytes
      return step
    })
    if (next === undefined) return undefined
    this.#letGo(next.cursor)
    if (!isLeafStep(next.step)) this.#askedFor(next.step)
    return next.step
  }

  /**
   * Takes a node that was asked for. The folder that it stands for must be there already: its entries may come up next.
   *
   * @param blockBytes - size of the encoded block
   * @throws P2PError `bad-data` where the node does not fit its place in the tree
   */
  resolve(step: NodeStep, node: DecodedNode, blockBytes: number): Found[] {
    this.#nodesAhead--
    this.#contentAhead -= step.contentBytes ?? 0
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

  #askedFor({ contentBytes = 0 }: NodeStep): void {
    this.#nodesAhead++
    this.#contentAhead += contentBytes
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
    const next = this.#nodes.next((cursor) => cursor.takeNode())
    if (next === undefined) return undefined
    this.#letGo(next.cursor)
    return next.step
  }

  #resolveEntry(cid: CID, path: readonly string[], depth: number, node: DecodedNode, blockBytes: number): Found[] {
    switch (node.kind) {
      case 'symlink':
        if (/\p{Cs}/u.test(node.target)) return [{ type: 'refused', path, reason: 'its target is not valid UTF-8' }]
        return [{ type: 'link', path, target: node.target, metadata: node.metadata }]
      case 'directory':
      case 'shard':
        return this.#openFolder(path, depth, node, blockBytes)
      case 'opaque':
        return [{ type: 'opaque', path, cid }, this.#wholeFile(cid, path, node)]
      case 'leaf':
        return [this.#wholeFile(cid, path, node)]
      case 'file': {
        const file = this.#file(path, node.bytes, node.metadata)
        this.#totalBytes += this.#wantedOf(0, node.bytes)
        const first: Found =
          node.bytes > 0 ? { type: 'file', file } : { type: 'whole-file', file, content: node.content, leaf: undefined }
        return [first, ...this.#openFile(file, 0, depth, node, blockBytes)]
      }
    }
  }

  #wholeFile(
    leaf: CID,
    path: readonly string[],
    { content, metadata }: { content: Uint8Array; metadata?: NodeMetadata | undefined },
  ): Found {
    this.#totalBytes += this.#wantedOf(0, content.byteLength)
    return { type: 'whole-file', file: this.#file(path, content.byteLength, metadata), content, leaf }
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
    if (node.kind === 'file') {
      // Nobody writes these, and nothing in a tree of them would count towards its end.
      if (bytes === 0) throw new P2PError('bad-data', `Block ${cid} has links of a file and no content`)
      return this.#openFile(file, offset, depth, node, blockBytes)
    }
    return [{ type: 'content', place: { file, offset }, content: node.content, leaf: cid }]
  }

  #openFile(
    file: WalkFile,
    base: number,
    depth: number,
    node: Extract<DecodedNode, { kind: 'file' }>,
    blockBytes: number,
  ): Found[] {
    const isWanted = (child: FileChild) => this.#wantedOf(base + child.offset, child.bytes) > 0
    const children = this.#range === undefined ? node.children : node.children.filter(isWanted)
    this.#hold(new FileCursor(file, base, children, { depth, heldBytes: blockBytes, firstLeaf: this.#firstLeaf }))
    if (node.content.byteLength === 0) return []
    return [{ type: 'content', place: { file, offset: base }, content: node.content, leaf: undefined }]
  }

  #wantedOf(offset: number, bytes: number): number {
    return this.#range === undefined ? bytes : overlap(this.#range, offset, bytes)
  }

  #openFolder(
    path: readonly string[],
    depth: number,
    node: Extract<DecodedNode, { kind: 'directory' | 'shard' }>,
    blockBytes: number,
    buckets: readonly number[] = [],
  ): Found[] {
    const subShards = node.kind === 'shard' ? placed(node, buckets) : []
    // Also those that are refused, and parts of a folder that may be empty: each costs time.
    this.#entries += node.entries.length + subShards.length
    if (this.#entries > this.#maxEntries) {
      throw new P2PError('limit', `The tree has more than ${this.#maxEntries} files and folders`)
    }
    const refused: Found[] = []
    const seen = new Set<string>()
    const entries = node.entries.filter(({ name, cid }, index) => {
      try {
        this.#checkName(name)
        const refusal = whyRefused(cid)
        if (refusal !== undefined) throw new P2PError('bad-data', `its CID is refused: ${refusal}`)
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
    this.#unmeasured += subShards.length
    const position = { depth, heldBytes: blockBytes, firstLeaf: this.#firstLeaf }
    this.#hold(new FolderCursor(path, { entries, subShards }, position, (name) => this.#file(name, undefined)))
    return refused
  }

  #file(path: readonly string[], bytes: number | undefined, metadata?: NodeMetadata): WalkFile {
    return { id: this.#files++, path, bytes, metadata }
  }

  #hold(cursor: Cursor): void {
    if (cursor.depth > MAX_DEPTH) throw new P2PError('bad-data', `The tree is deeper than ${MAX_DEPTH} levels`)
    if (this.#heldChildren + cursor.childCount > MAX_HELD_CHILDREN) {
      throw new P2PError(
        'limit',
        `The tree has over ${MAX_HELD_CHILDREN} entries side by side that cannot be worked off`,
      )
    }
    if (!cursor.hasNodes && !cursor.hasLeaves) return
    this.#heldNodes++
    this.#heldBytes += cursor.heldBytes
    this.#heldChildren += cursor.childCount
    this.#contentAhead += cursor.contentBytes
    this.#nodes.add(cursor)
    this.#leaves.add(cursor)
  }

  /** Forgets a node once all its children are named. */
  #letGo(cursor: Cursor): void {
    if (cursor.hasNodes || cursor.hasLeaves) return
    this.#heldNodes--
    this.#heldBytes -= cursor.heldBytes
    this.#heldChildren -= cursor.childCount
  }
}

function placed({ fanout, subShards, subShardBuckets }: Shard, buckets: readonly number[]): SubShard[] {
  return subShards.map((cid, index) => ({ cid, place: { fanout, buckets: [...buckets, subShardBuckets[index]!] } }))
}
