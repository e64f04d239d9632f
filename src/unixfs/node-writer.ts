/**
 * Writes blocks under the CIDs that the settings of an import give them: dag-pb nodes with UnixFS data, and leaves.
 * Used by all that builds trees: `importer.ts`, `file-tree.ts`, `nodes.ts` and `hamt.ts`.
 * @see https://specs.ipfs.tech/unixfs/#dag-pb-node
 */

import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import type { BlockStore } from '../blockstore/blockstore.ts'
import type { AbortOptions } from '../common/abort.ts'
import { P2PError } from '../common/errors.ts'
import {
  bytesFieldLength,
  varintFieldLength,
  WIRE_BYTES,
  writeBytesField,
  writeTextField,
  writeVarint,
  writeVarintField,
} from '../common/protobuf.ts'
import { formatBytes, KiB } from '../common/units.ts'
import { digestOf, MAX_BLOCK_BYTES } from '../dag/block.ts'
import { DAG_PB, IDENTITY_HASH, SHA2_256 } from '../dag/cid.ts'
import type { LeafHasher } from '../dag/leaf-hasher.ts'
import type { ImportSettings } from './import-settings.ts'
import { encodeUnixfs, type UnixfsData } from './unixfs-data.ts'

/** What making nodes needs of a store. */
export type BlockSink = Pick<BlockStore, 'put'>

/** A finished DAG. */
export interface NodeRef {
  cid: CID
  /** Bytes of all its blocks; one that occurs several times is counted each time. */
  tsize: number
}

/** One link of a node, as small in memory as it can be: a folder may have a hundred thousand. */
export interface NodeLink {
  /** Empty between the parts of a file. */
  name: string
  /** The bytes of the CID. */
  cid: Uint8Array
  tsize: number
}

const NODE_FIELD = { data: 1, links: 2 } as const
const LINK_FIELD = { cid: 1, name: 2, tsize: 3 } as const

export interface NodeWriterOptions extends AbortOptions {
  /** Hashes leaves; left out where there are few. */
  hasher?: Pick<LeafHasher, 'digest'> | undefined
}

export class NodeWriter {
  readonly #store: BlockSink
  readonly #settings: Pick<ImportSettings, 'cidVersion' | 'hash' | 'inlineLimit'>
  readonly #options: NodeWriterOptions

  constructor(
    store: BlockSink,
    settings: Pick<ImportSettings, 'cidVersion' | 'hash' | 'inlineLimit'>,
    options: NodeWriterOptions = {},
  ) {
    this.#store = store
    this.#settings = settings
    this.#options = options
  }

  /** The CID of a block; those up to the inline limit hold it themselves. @param codec - raw or dag-pb */
  cidOf(codec: number, bytes: Uint8Array): CID {
    return this.#inlined(codec, bytes) ?? this.#named(codec, digestOf(this.#settings.hash, bytes)!)
  }

  /** The same for a leaf, which may be hashed in another thread: the bytes must not change before it returns. */
  async leafCid(codec: number, bytes: Uint8Array): Promise<CID> {
    const { hasher } = this.#options
    if (hasher === undefined) return this.cidOf(codec, bytes)
    return this.#inlined(codec, bytes) ?? this.#named(codec, await hasher.digest(this.#settings.hash, bytes))
  }

  /**
   * Stores a node.
   *
   * @param links - in their order
   * @throws P2PError `limit` for a node that no peer would take; `io`, `disk-full`
   */
  async save(unixfs: UnixfsData, links: readonly NodeLink[] = []): Promise<NodeRef> {
    const bytes = encodeNode(encodeUnixfs(unixfs), links)
    if (bytes.byteLength > MAX_BLOCK_BYTES) throw tooLarge(bytes.byteLength, links.length)
    const cid = this.cidOf(DAG_PB, bytes)
    await this.#store.put(cid, bytes, this.#options)
    return { cid, tsize: links.reduce((sum, link) => sum + link.tsize, bytes.byteLength) }
  }

  #inlined(codec: number, bytes: Uint8Array): CID | undefined {
    const { inlineLimit } = this.#settings
    if (inlineLimit === undefined || bytes.byteLength > inlineLimit) return undefined
    return CID.createV1(codec, Digest.create(IDENTITY_HASH, bytes))
  }

  #named(codec: number, digest: Uint8Array): CID {
    const { cidVersion, hash } = this.#settings
    if (cidVersion === 0 && codec === DAG_PB) return CID.createV0(Digest.create(SHA2_256, digest))
    return CID.createV1(codec, Digest.create(hash, digest))
  }
}

/** What the CIDs of links are copied into, many to a piece of memory: one of its own costs several times what it holds. */
const CIDS_BYTES = 16 * KiB
let cids = new Uint8Array(0)

/** The link to a finished DAG. */
export function linkTo(name: string, { cid, tsize }: NodeRef): NodeLink {
  const { bytes } = cid
  // Not from Node's pool: what is short-lived in it would stay as long as the links do.
  if (cids.byteLength < bytes.byteLength) cids = new Uint8Array(Math.max(CIDS_BYTES, bytes.byteLength))
  const copy = cids.subarray(0, bytes.byteLength)
  copy.set(bytes)
  cids = cids.subarray(bytes.byteLength)
  return { name, cid: copy, tsize }
}

/** The bytes of a link within its node. */
export function linkFieldLength(link: NodeLink): number {
  return bytesFieldLength(linkLength(link))
}

function linkLength({ name, cid, tsize }: NodeLink): number {
  return bytesFieldLength(cid.byteLength) + bytesFieldLength(Buffer.byteLength(name)) + varintFieldLength(tsize)
}

/** All links before the data, which is how dag-pb orders them. @see https://ipld.io/specs/codecs/dag-pb/spec/ */
function encodeNode(data: Uint8Array, links: readonly NodeLink[]): Uint8Array {
  const length = links.reduce((sum, link) => sum + linkFieldLength(link), bytesFieldLength(data.byteLength))
  const bytes = Buffer.allocUnsafe(length)
  let at = 0
  for (const link of links) {
    bytes[at] = NODE_FIELD.links * 8 + WIRE_BYTES
    at = writeVarint(bytes, at + 1, linkLength(link))
    at = writeBytesField(bytes, at, LINK_FIELD.cid, link.cid)
    at = writeTextField(bytes, at, LINK_FIELD.name, link.name)
    at = writeVarintField(bytes, at, LINK_FIELD.tsize, link.tsize)
  }
  writeBytesField(bytes, at, NODE_FIELD.data, data)
  return bytes
}

function tooLarge(bytes: number, links: number): P2PError {
  return new P2PError('limit', `A node of ${links} links would be a block of ${formatBytes(bytes)}`, {
    hint: `No peer takes blocks above ${formatBytes(MAX_BLOCK_BYTES)}: allow fewer links a node.`,
  })
}
