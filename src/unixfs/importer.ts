/**
 * Cuts one file into leaves and joins them into its tree. Folders and symlinks are made in `nodes.ts`.
 * @see https://specs.ipfs.tech/unixfs/#dag-pb-file
 */

import type { CID } from 'multiformats/cid'
import { mapAhead } from '../common/concurrency.ts'
import { WorkPool } from '../common/work-pool.ts'
import { DAG_PB, isIdentity, RAW } from '../dag/cid.ts'
import { type LeafForm, leafBlock } from '../dag/leaf-form.ts'
import { chunksOf } from './chunker.ts'
import { buildBalanced, buildParent, buildTrickle, type FilePart } from './file-tree.ts'
import type { ImportSettings } from './import-settings.ts'
import type { NodeRef, NodeWriter } from './node-writer.ts'
import type { Metadata } from './unixfs-data.ts'

/** A block of nothing but file content, and where in its file that lies. */
interface Leaf {
  cid: CID
  /** The bytes of the block: the content, or a dag-pb node around it. */
  block: Uint8Array
  content: Uint8Array
  /** Of the content, from the start of the file. */
  offset: number
}

/** Keeps a leaf, and does not look at its bytes afterwards. Called in no order, and not for those that lie in their CID. */
export type PutLeaf = (leaf: Leaf) => Promise<void>

type FileSettings = Pick<ImportSettings, 'rawLeaves' | 'chunker' | 'layout' | 'maxFileLinks'>

/** Of one file, that are being kept while the next ones are read. */
const LEAVES_AT_ONCE = 8
/** Of one file, that are being hashed or wait for one before them. */
const HASHES_AT_ONCE = 6

const NO_BYTES = new Uint8Array(0)

/**
 * Imports one file as a stream. However large it is, memory holds some ten chunks and the links of one node a level;
 * content that comes in pieces of a chunk's size is not copied.
 *
 * @param writer - stores the inner nodes
 * @param metadata - kept by the root, which is dag-pb then even where leaves are raw. Kubo refuses that combination.
 * @throws P2PError `limit`, `io`, `disk-full` from the writer; whatever `content` and `putLeaf` throw
 */
export async function importFile(
  content: AsyncIterable<Uint8Array>,
  writer: NodeWriter,
  settings: FileSettings,
  putLeaf: PutLeaf,
  metadata: Metadata = {},
): Promise<NodeRef> {
  const file = new FileImport(writer, settings, putLeaf)
  try {
    const chunks = chunksOf(content, settings.chunker)
    const root = await file.build(chunks, metadata)
    await file.puts.drain()
    return root
  } catch (error) {
    await file.puts.settle()
    throw error
  }
}

/**
 * Imports one file whose content is in memory, as {@link importFile} does: most of the time, where it is one leaf, without
 * what a stream costs.
 */
export async function importWhole(
  content: Uint8Array,
  writer: NodeWriter,
  settings: FileSettings,
  putLeaf: PutLeaf,
  metadata: Metadata = {},
): Promise<NodeRef> {
  const { layout, chunker } = settings
  const isOneLeaf = chunker.kind === 'size' && content.byteLength <= chunker.bytes && layout !== 'trickle'
  if (!isOneLeaf || hasMetadata(metadata))
    return await importFile(streamOf(content), writer, settings, putLeaf, metadata)
  const { codec, block } = blockOf(content, settings)
  const cid = writer.cidOf(codec, block)
  if (!isIdentity(cid)) await putLeaf({ cid, block, content, offset: 0 })
  return { cid, tsize: block.byteLength }
}

async function* streamOf(content: Uint8Array): AsyncGenerator<Uint8Array> {
  yield content
}

/** The block of a leaf with this content, and the codec of its CID. */
function blockOf(content: Uint8Array, { rawLeaves, layout }: FileSettings): { codec: number; block: Uint8Array } {
  const form: LeafForm = rawLeaves ? 'raw' : layout === 'trickle' ? 'raw-node' : 'file'
  return { codec: rawLeaves ? RAW : DAG_PB, block: leafBlock(form, content) }
}

class FileImport {
  readonly puts = new WorkPool(LEAVES_AT_ONCE)
  readonly #writer: NodeWriter
  readonly #settings: FileSettings
  readonly #putLeaf: PutLeaf
  #offset = 0

  constructor(writer: NodeWriter, settings: FileSettings, putLeaf: PutLeaf) {
    this.#writer = writer
    this.#settings = settings
    this.#putLeaf = putLeaf
  }

  async build(chunks: AsyncIterable<Uint8Array>, metadata: Metadata): Promise<NodeRef> {
    const { layout, maxFileLinks, rawLeaves } = this.#settings
    const tree = { writer: this.#writer, maxLinks: maxFileLinks, metadata }
    if (layout === 'trickle') return await buildTrickle(this.#leaves(chunks), tree)
    if (!hasMetadata(metadata)) return (await buildBalanced(this.#leaves(chunks), tree)) ?? (await this.#leaf(NO_BYTES))
    const { few, all } = await lookAhead(chunks)
    if (few === undefined) return (await buildBalanced(this.#leaves(all), tree))!
    const [only] = few
    if (!rawLeaves) return await this.#rootOfOneChunk(only ?? NO_BYTES, metadata)
    return await buildParent(only === undefined ? [] : [await this.#leaf(only)], tree)
  }

  async *#leaves(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<FilePart> {
    const named = mapAhead(chunks, HASHES_AT_ONCE, (chunk) => this.#named(chunk))
    for await (const leaf of named) yield await this.#kept(leaf)
  }

  async #leaf(content: Uint8Array): Promise<FilePart> {
    return await this.#kept(await this.#named(content))
  }

  /** To be called in the order of the chunks. */
  async #named(content: Uint8Array): Promise<Leaf> {
    const offset = this.#offset
    this.#offset += content.byteLength
    const { codec, block } = blockOf(content, this.#settings)
    const cid = await this.#writer.leafCid(codec, block)
    return { cid, block, content, offset }
  }

  async #kept(leaf: Leaf): Promise<FilePart> {
    const { cid, block, content } = leaf
    if (!isIdentity(cid)) await this.puts.start(() => this.#putLeaf(leaf))
    return { cid, tsize: block.byteLength, bytes: content.byteLength }
  }

  /** Leaf and root in one. It is no leaf that can be made from the content alone, so the writer keeps it. */
  async #rootOfOneChunk(content: Uint8Array, metadata: Metadata): Promise<NodeRef> {
    const fileSize = content.byteLength
    return await this.#writer.save({ type: 'file', data: content, fileSize, blockSizes: [], ...metadata })
  }
}

function hasMetadata({ mode, mtime }: Metadata): boolean {
  return Boolean(mode) || mtime !== undefined
}

/** The chunks if there are less than two of them, else all of them as a stream. */
async function lookAhead(
  chunks: AsyncIterable<Uint8Array>,
): Promise<{ few: Uint8Array[]; all?: undefined } | { few?: undefined; all: AsyncIterable<Uint8Array> }> {
  const iterator: AsyncIterator<Uint8Array, undefined> = chunks[Symbol.asyncIterator]()
  const first = await iterator.next()
  if (first.done === true) return { few: [] }
  const second = await iterator.next()
  if (second.done === true) return { few: [first.value] }
  const all = async function* () {
    try {
      yield first.value
      for (let next: IteratorResult<Uint8Array, undefined> = second; next.done !== true; next = await iterator.next())
        yield next.value
    } finally {
      await iterator.return?.()
    }
  }
  return { all: all() }
}
