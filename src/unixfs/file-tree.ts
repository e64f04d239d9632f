/**
 * Joins the leaves of a file into a tree, in the two layouts that Kubo has. Memory holds the links of one node a level.
 * Called by `importer.ts`.
 * @see https://github.com/ipfs/boxo/tree/main/ipld/unixfs/importer
 */

import { linkTo, type NodeLink, type NodeRef, type NodeWriter } from './node-writer.ts'
import type { Metadata } from './unixfs-data.ts'

/** A part of a file: a leaf, or a tree of them. */
export interface FilePart extends NodeRef {
  /** Of content. */
  bytes: number
}

/** The links of a node under construction. */
class OpenNode {
  readonly links: NodeLink[] = []
  readonly #blockSizes: number[] = []
  #bytes = 0

  add(part: FilePart): void {
    this.links.push(linkTo('', part))
    this.#blockSizes.push(part.bytes)
    this.#bytes += part.bytes
  }

  async save(writer: NodeWriter, metadata: Metadata = {}): Promise<FilePart> {
    const unixfs = { type: 'file', fileSize: this.#bytes, blockSizes: this.#blockSizes, ...metadata } as const
    return { ...(await writer.save(unixfs, this.links)), bytes: this.#bytes }
  }
}

export interface FileTreeOptions {
  writer: NodeWriter
  /** Links a node. */
  maxLinks: number
  /** Of the file: kept by its root alone. */
  metadata: Metadata
}

/** A parent for parts that stand alone otherwise. */
export async function buildParent(
  parts: FilePart[],
  { writer, metadata }: Omit<FileTreeOptions, 'maxLinks'>,
): Promise<NodeRef> {
  const node = new OpenNode()
  for (const part of parts) node.add(part)
  return await node.save(writer, metadata)
}

/**
 * A tree whose leaves all have the same depth. A single leaf is the tree itself, without the metadata.
 *
 * @returns undefined if there are no leaves
 */
export async function buildBalanced(
  leaves: AsyncIterable<FilePart>,
  { writer, maxLinks, metadata }: FileTreeOptions,
): Promise<NodeRef | undefined> {
  /** From the parents of leaves up; a node is saved when the next part does not fit into it. */
  const levels: OpenNode[] = []
  const addTo = async (level: number, part: FilePart): Promise<void> => {
    const open = levels[level]
    if (open !== undefined && open.links.length < maxLinks) {
      open.add(part)
      return
    }
    if (open !== undefined) await addTo(level + 1, await open.save(writer))
    const node = new OpenNode()
    node.add(part)
    levels[level] = node
  }

  let first: FilePart | undefined
  let count = 0
  for await (const leaf of leaves) {
    first ??= leaf
    count++
    await addTo(0, leaf)
  }
  if (count <= 1) return first
  for (let level = 0; level < levels.length - 1; level++) await addTo(level + 1, await levels[level]!.save(writer))
  return await levels.at(-1)!.save(writer, metadata)
}

/** Subtrees of each depth below a node of a trickle tree. */
const SUBTREES_PER_DEPTH = 4

/**
 * A tree that is made for reading from its start: each node has leaves first, then four subtrees of each depth below its
 * own. The root has any depth, and is there even without leaves.
 */
export async function buildTrickle(
  leaves: AsyncIterable<FilePart>,
  { writer, maxLinks, metadata }: FileTreeOptions,
): Promise<NodeRef> {
  const source = await PeekedLeaves.open(leaves)
  const build = async (depthLimit: number, ownMetadata: Metadata): Promise<FilePart> => {
    const node = new OpenNode()
    while (node.links.length < maxLinks && source.hasMore()) node.add(await source.take())
    for (let depth = 1; depth < depthLimit && source.hasMore(); depth++) {
      for (let count = 0; count < SUBTREES_PER_DEPTH && source.hasMore(); count++) node.add(await build(depth, {}))
    }
    return await node.save(writer, ownMetadata)
  }
  try {
    return await build(Number.POSITIVE_INFINITY, metadata)
  } finally {
    await source.close()
  }
}

/** Leaves that say whether there are more. */
class PeekedLeaves {
  readonly #iterator: AsyncIterator<FilePart, undefined>
  #next: IteratorResult<FilePart, undefined>

  private constructor(iterator: AsyncIterator<FilePart, undefined>, first: IteratorResult<FilePart, undefined>) {
    this.#iterator = iterator
    this.#next = first
  }

  static async open(leaves: AsyncIterable<FilePart>): Promise<PeekedLeaves> {
    const iterator = leaves[Symbol.asyncIterator]()
    return new PeekedLeaves(iterator, await iterator.next())
  }

  hasMore(): boolean {
    return this.#next.done !== true
  }

  /** Only if there are more. */
  async take(): Promise<FilePart> {
    const leaf = this.#next.value!
    this.#next = await this.#iterator.next()
    return leaf
  }

  async close(): Promise<void> {
    await this.#iterator.return?.()
  }
}
