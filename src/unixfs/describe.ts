/** What a block is, for people who look: also where it is no part of a file tree, or breaks its rules. Pure. */

import * as dagPb from '@ipld/dag-pb'
import type { CID } from 'multiformats/cid'
import { messageOf } from '../common/errors.ts'
import { type DecodedNode, decodeNode } from './decode.ts'

export type Description =
  /** `node` is undefined for a raw leaf that was not read. */
  | { type: 'file'; bytes: number; node: DecodedNode | undefined }
  | { type: 'folder'; node: Extract<DecodedNode, { kind: 'directory' | 'shard' }> }
  | { type: 'symlink'; node: Extract<DecodedNode, { kind: 'symlink' }> }
  /** A node without UnixFS data. */
  | { type: 'dag-pb' }
  /** Of a codec that is no part of file trees. */
  | { type: 'opaque' }
  | { type: 'malformed'; reason: string }

export function describeBlock(cid: CID, bytes: Uint8Array): Description {
  let node: DecodedNode
  try {
    node = decodeNode(cid, bytes)
  } catch (error) {
    return hasUnixfsData(bytes) ? { type: 'malformed', reason: messageOf(error) } : { type: 'dag-pb' }
  }
  switch (node.kind) {
    case 'leaf':
      return { type: 'file', bytes: node.content.byteLength, node }
    case 'file':
      return { type: 'file', bytes: node.bytes, node }
    case 'symlink':
      return { type: 'symlink', node }
    case 'opaque':
      return { type: 'opaque' }
    default:
      return { type: 'folder', node }
  }
}

/** True also where that cannot be told. */
function hasUnixfsData(bytes: Uint8Array): boolean {
  try {
    return dagPb.decode(bytes).Data !== undefined
  } catch {
    return true
  }
}
