/**
 * What a tree is made of, by its inner nodes: leaves are counted, not read. Nodes are read several at a time, and no more
 * blocks are looked at than a person waits for. Called by `node/operations/info.ts`.
 */

import type { CID } from 'multiformats/cid'
import { MAX_BLOCK_BYTES } from '../dag/block.ts'
import { type BlockKey, blockKey, isIdentity, RAW } from '../dag/cid.ts'
import { leafBlockLength } from '../dag/leaf-form.ts'
import type { DecodedNode, FileChild } from './decode.ts'
import { type Description, describeBlock } from './describe.ts'

/** Beyond these the figures are the least there are. */
const MAX_NODES = 4096
const MAX_BLOCKS = 65_536
/** What waits beyond this would not be visited any more. */
const MAX_WAITING = 4 * MAX_NODES
const NODES_AT_ONCE = 16

export interface Survey {
  root: Description
  /** Of file content. */
  bytes: number
  files: number
  folders: number
  /** Different blocks by their key, in no order. */
  blocks: Map<BlockKey, SurveyedBlock>
  blockBytes: number
  /** Blocks on the longest way down, the root included. */
  depth: number
  isComplete: boolean
  /** Of the largest leaf. */
  chunkBytes: number | undefined
  rawLeaves: boolean | undefined
  /** The most links of a file's node. */
  links: number | undefined
  sharded: boolean
}

interface SurveyedBlock {
  cid: CID
  /** As its parent says, for a leaf that was not read. */
  bytes: number
}

interface Step {
  cid: CID
  depth: number
  /** `part` stands in the middle of a file or of a sharded folder. */
  place: 'entry' | 'part'
}

/**
 * @param readNode - gives a node, and of leaves in dag-pb the first one of each node
 * @throws what `readNode` throws; a node that breaks the rules of UnixFS only counts as a block
 */
export async function surveyTree(root: CID, readNode: (cid: CID) => Promise<Uint8Array>): Promise<Survey> {
  const survey = new TreeSurvey(readNode)
  await survey.run(root)
  return survey
}

class TreeSurvey implements Survey {
  root: Description = { type: 'opaque' }
  bytes = 0
  files = 0
  folders = 0
  readonly blocks = new Map<BlockKey, SurveyedBlock>()
  blockBytes = 0
  depth = 0
  isComplete = true
  chunkBytes: number | undefined
  rawLeaves: boolean | undefined
  links: number | undefined
  sharded = false
  readonly #readNode: (cid: CID) => Promise<Uint8Array>
  readonly #waiting: Step[] = []
  #nodes = 0

  constructor(readNode: (cid: CID) => Promise<Uint8Array>) {
    this.#readNode = readNode
  }

  async run(root: CID): Promise<void> {
    this.root = await this.#visit({ cid: root, depth: 1, place: 'entry' })
    while (this.#waiting.length > 0) {
      // The deepest first, so that few are waiting.
      const next = this.#waiting.splice(-NODES_AT_ONCE)
      if (this.#nodes + next.length > MAX_NODES || this.blocks.size >= MAX_BLOCKS) {
        this.isComplete = false
        return
      }
      await Promise.all(next.map((step) => this.#visit(step)))
    }
  }

  async #visit({ cid, depth, place }: Step): Promise<Description> {
    this.#nodes++
    const block = await this.#readNode(cid)
    this.#countBlock(cid, block.byteLength, depth)
    const description = describeBlock(cid, block)
    if (description.type === 'file' && description.node !== undefined) {
      if (place === 'entry') this.#countFile(description.bytes)
      await this.#visitFile(cid, description.node, depth)
    } else if (description.type === 'folder') {
      if (place === 'entry') this.folders++
      this.#visitFolder(description.node, depth)
    }
    return description
  }

  async #visitFile(cid: CID, node: DecodedNode, depth: number): Promise<void> {
    if (node.kind === 'leaf') this.#noteLeaf(cid, node.content.byteLength)
    if (node.kind !== 'file') return
    this.links = Math.max(this.links ?? 0, node.children.length)
    for (const child of node.children) if (child.cid.code === RAW) this.#countLeaf(child, depth + 1)
    const [first, ...others] = node.children.filter((child) => child.cid.code !== RAW)
    if (first === undefined) return
    const step = { cid: first.cid, depth: depth + 1, place: 'part' } as const
    // Whether small ones are leaves shows in the first one alone: the others are content that nobody has asked for.
    const mayBeLeaf = first.bytes <= MAX_BLOCK_BYTES
    const areLeaves = mayBeLeaf && isLeaf(await this.#visit(step))
    if (!mayBeLeaf) this.#visitLater(step)
    for (const child of others) {
      if (areLeaves && child.bytes <= first.bytes) this.#countLeaf(child, depth + 1)
      else this.#visitLater({ ...step, cid: child.cid })
    }
  }

  #visitFolder(node: Extract<DecodedNode, { kind: 'directory' | 'shard' }>, depth: number): void {
    for (const { cid, tsize } of node.entries) {
      if (cid.code !== RAW) {
        this.#visitLater({ cid, depth: depth + 1, place: 'entry' })
        continue
      }
      this.#countFile(tsize)
      this.#countLeaf({ cid, bytes: tsize }, depth + 1)
    }
    if (node.kind !== 'shard') return
    this.sharded = true
    for (const cid of node.subShards) this.#visitLater({ cid, depth: depth + 1, place: 'part' })
  }

  /** Unless too many wait already: a node can have thousands, of which none costs its maker more than a name. */
  #visitLater(step: Step): void {
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(step)
    else this.isComplete = false
  }

  #countFile(bytes: number): void {
    this.files++
    this.bytes += bytes
  }

  #countLeaf({ cid, bytes }: Pick<FileChild, 'cid' | 'bytes'>, depth: number): void {
    this.#noteLeaf(cid, bytes)
    this.#countBlock(cid, cid.code === RAW ? bytes : leafBlockLength('file', bytes), depth)
  }

  #noteLeaf({ code }: CID, bytes: number): void {
    this.chunkBytes = Math.max(this.chunkBytes ?? 0, bytes)
    this.rawLeaves = code === RAW && this.rawLeaves !== false
  }

  #countBlock(cid: CID, bytes: number, depth: number): void {
    this.depth = Math.max(this.depth, depth)
    const key = blockKey(cid)
    if (isIdentity(cid) || this.blocks.has(key)) return
    if (this.blocks.size >= MAX_BLOCKS) {
      this.isComplete = false
      return
    }
    this.blocks.set(key, { cid, bytes })
    this.blockBytes += bytes
  }
}

function isLeaf(description: Description): boolean {
  return description.type === 'file' && description.node?.kind === 'leaf'
}
