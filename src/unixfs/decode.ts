/**
 * What a block of a file tree says: a pure function from a verified block to a checked description, for the download
 * walk, the exporter and path resolution. Everything in a block was chosen by whoever made the CID, so nothing in it is
 * taken on trust; entry names still have to pass `files/safe-name.ts` before they reach a disk.
 * @see https://specs.ipfs.tech/unixfs/
 */

import { isUtf8 } from 'node:buffer'
import * as dagPb from '@ipld/dag-pb'
import type { CID } from 'multiformats/cid'
import { messageOf, P2PError } from '../common/errors.ts'
import { ProtobufReader, WIRE_BYTES } from '../common/protobuf.ts'
import { whyRefused } from '../dag/block.ts'
import { DAG_PB, RAW } from '../dag/cid.ts'
import { readLinks } from '../dag/links.ts'
import type { DirectoryEntry } from './directory-entry.ts'
import { readShard, type Shard } from './shard.ts'
import { decodeUnixfs, type Mtime, type UnixfsData } from './unixfs-data.ts'

export interface FileChild {
  cid: CID
  /** In bytes, from the start of this node's content. */
  offset: number
  bytes: number
}

/** What a node says about the file or folder that it is the root of. */
export interface NodeMetadata {
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  mode?: number | undefined
  mtime?: Mtime | undefined
}

export type DecodedNode = { metadata?: NodeMetadata | undefined } & (
  | { kind: 'leaf'; content: Uint8Array }
  /** `content` lies before what the children hold; most files have none in their inner nodes. */
  | { kind: 'file'; bytes: number; content: Uint8Array; children: FileChild[] }
  | { kind: 'directory'; entries: DirectoryEntry[] }
  | ({ kind: 'shard' } & Shard)
  | { kind: 'symlink'; target: string }
  /** A block of a codec that is no part of a file tree. Nothing in it is looked at, nor what it links to. */
  | { kind: 'opaque'; content: Uint8Array }
)

const NO_BYTES = new Uint8Array(0)
const MODE_BITS = 0o7777
/** Of a symlink's target: what Linux takes, without the zero at its end. */
const MAX_TARGET_BYTES = 4095
const LINK_NAME_FIELD = 2

/**
 * Describes a block that matches its CID. Contents are views of `bytes`.
 *
 * @throws P2PError `bad-data` for dag-pb that is not valid UnixFS
 */
export function decodeNode(cid: CID, bytes: Uint8Array): DecodedNode {
  if (cid.code === RAW) return { kind: 'leaf', content: bytes }
  if (cid.code !== DAG_PB) return { kind: 'opaque', content: bytes }
  try {
    return decodeDagPb(bytes)
  } catch (cause) {
    throw new P2PError('bad-data', `Block ${cid} is not readable: ${messageOf(cause)}`, {
      hint: cause instanceof P2PError ? cause.hint : undefined,
      cause,
    })
  }
}

/** The blocks that the node names, as `linksOf` reads them from its bytes; in no order. */
export function linksIn(node: DecodedNode): CID[] {
  if (node.kind === 'file') return node.children.map(({ cid }) => cid)
  if (node.kind === 'directory') return node.entries.map(({ cid }) => cid)
  if (node.kind === 'shard') return [...node.entries.map(({ cid }) => cid), ...node.subShards]
  return []
}

function decodeDagPb(bytes: Uint8Array): DecodedNode {
  const names = readLinkNames(bytes)
  const node = dagPb.decode(bytes)
  if (node.Data === undefined)
    throw new P2PError('bad-data', 'a dag-pb node without UnixFS data, so neither a file nor a folder', {
      hint: 'Another program made it: "p2p block get" gives its bytes as they are.',
    })
  const unixfs = decodeUnixfs(node.Data)
  const links = node.Links.map((link, index) => ({
    name: names[index]!,
    cid: link.Hash,
    tsize: link.Tsize ?? 0,
  }))
  const description = describe(unixfs, links)
  const metadata = metadataOf(unixfs)
  return metadata === undefined ? description : { ...description, metadata }
}

function describe(unixfs: UnixfsData, links: DirectoryEntry[]): DecodedNode {
  if (unixfs.type === 'file' || unixfs.type === 'raw') return describeFile(unixfs, links)
  if (unixfs.type === 'directory') return { kind: 'directory', entries: links }
  if (unixfs.type === 'hamt-shard') {
    const shard = readShard(unixfs, links)
    shard.subShards.forEach(checkLink)
    return { kind: 'shard', ...shard }
  }
  if (unixfs.type === 'symlink') return { kind: 'symlink', target: symlinkTarget(unixfs, links) }
  throw new P2PError('bad-data', `UnixFS nodes of type ${unixfs.type} have no content`)
}

function describeFile(unixfs: UnixfsData, links: DirectoryEntry[]): DecodedNode {
  const content = unixfs.data ?? NO_BYTES
  if (unixfs.blockSizes.length !== links.length) {
    throw new P2PError('bad-data', `${unixfs.blockSizes.length} block sizes for ${links.length} links`)
  }
  let end = content.length
  const children = links.map(({ cid }, index) => {
    checkLink(cid)
    const child = { cid, offset: end, bytes: unixfs.blockSizes[index]! }
    end += child.bytes
    return child
  })
  if (!Number.isSafeInteger(end)) throw new P2PError('bad-data', 'a file above 2^53 bytes')
  if (unixfs.fileSize !== undefined && unixfs.fileSize !== end) {
    throw new P2PError('bad-data', `a file of ${unixfs.fileSize} bytes whose parts add up to ${end}`)
  }
  return children.length === 0 ? { kind: 'leaf', content } : { kind: 'file', bytes: end, content, children }
}

/** Refuses a part that could not be checked. Entries of folders are judged one by one, by whoever makes them. */
function checkLink(cid: CID): void {
  const reason = whyRefused(cid)
  if (reason !== undefined) throw new P2PError('bad-data', `a link to a CID that is refused: ${reason}`)
}

function symlinkTarget(unixfs: UnixfsData, links: DirectoryEntry[]): string {
  if (links.length > 0) throw new P2PError('bad-data', 'a symlink with links of its own')
  const target = unixfs.data ?? NO_BYTES
  if (target.byteLength > MAX_TARGET_BYTES) {
    throw new P2PError('bad-data', `a symlink to a target above ${MAX_TARGET_BYTES} bytes`)
  }
  return textOf(target)
}

function metadataOf({ mode, mtime }: UnixfsData): NodeMetadata | undefined {
  if (mode === undefined && mtime === undefined) return undefined
  // Writers may add the file type above the permission bits, as stat does.
  return { mode: mode === undefined ? undefined : mode % (MODE_BITS + 1), mtime }
}

/**
 * The names of a node's links, read before the node is decoded: so that a node with too many links costs little, and
 * because `@ipld/dag-pb` replaces bytes that are not UTF-8 and drops a byte order mark at the start of a name.
 */
function readLinkNames(node: Uint8Array): string[] {
  return readLinks(node, readLinkName)
}

function readLinkName(bytes: Uint8Array): string {
  let name = ''
  const link = new ProtobufReader(bytes)
  while (link.nextField()) {
    if (link.field === LINK_NAME_FIELD && link.wire === WIRE_BYTES) name = textOf(link.bytes())
    else link.skip()
  }
  return name
}

/** Names of Unix are bytes. Those that are no UTF-8 have lone surrogates for them, so that they are like no others. */
function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (isUtf8(bytes)) return buffer.toString('utf8')
  return buffer.toString('latin1').replace(/[\x80-\xff]/g, (byte) => String.fromCharCode(0xdc00 + byte.charCodeAt(0)))
}
