/**
 * The blocks that a leaf's content can be in. Where a file is cut into raw blocks, block and content are the same; where
 * leaves are dag-pb, as in CIDv0 trees, the block can be made again from the content, so that a user's file can stand
 * for it either way. Used by `blockstore/references.ts`.
 * @see https://specs.ipfs.tech/unixfs/
 */

import type { CID } from 'multiformats/cid'
import {
  bytesFieldLength,
  varintFieldLength,
  writeBytesField,
  writeVarint,
  writeVarintField,
} from '../common/protobuf.ts'
import { matchesCid } from './block.ts'
import { DAG_PB } from './cid.ts'

/** `file` and `raw-node` are the two UnixFS types that importers give to leaves in dag-pb. */
export const LEAF_FORMS = ['raw', 'file', 'raw-node'] as const
export type LeafForm = (typeof LEAF_FORMS)[number]

const UNIXFS_TYPE = { file: 2, 'raw-node': 0 } as const
const UNIXFS = { type: 1, data: 2, fileSize: 3 } as const
const NODE_DATA = 1

/** The form whose block over this content has this CID, or undefined if none has. */
export function leafFormOf(cid: CID, content: Uint8Array): LeafForm | undefined {
  // Of other codecs the block is the content, as of raw ones.
  if (cid.code !== DAG_PB) return 'raw'
  return LEAF_FORMS.find((form) => form !== 'raw' && matchesCid(cid, leafBlock(form, content)))
}

/** The block in this form; the content itself if it is raw. */
export function leafBlock(form: LeafForm, content: Uint8Array): Uint8Array {
  if (form === 'raw') return content
  const unixfsLength = unixfsLengthOf(form, content.byteLength)
  const block = new Uint8Array(bytesFieldLength(unixfsLength))
  block[0] = NODE_DATA * 8 + 2
  let at = writeVarint(block, 1, unixfsLength)
  at = writeVarintField(block, at, UNIXFS.type, UNIXFS_TYPE[form])
  if (content.byteLength > 0) at = writeBytesField(block, at, UNIXFS.data, content)
  writeVarintField(block, at, UNIXFS.fileSize, content.byteLength)
  return block
}

/** Bytes of {@link leafBlock}, without making it. */
export function leafBlockLength(form: LeafForm, contentLength: number): number {
  return form === 'raw' ? contentLength : bytesFieldLength(unixfsLengthOf(form, contentLength))
}

function unixfsLengthOf(form: Exclude<LeafForm, 'raw'>, contentLength: number): number {
  const data = contentLength > 0 ? bytesFieldLength(contentLength) : 0
  return varintFieldLength(UNIXFS_TYPE[form]) + data + varintFieldLength(contentLength)
}
