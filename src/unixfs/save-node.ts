/** Writes one dag-pb node with UnixFS data. Used by `nodes.ts` and `hamt.ts`. */

import * as dagPb from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import type { BlockStore } from '../blockstore/blockstore.ts'
import type { AbortOptions } from '../common/abort.ts'
import { digestOf } from '../dag/block.ts'
import { DAG_PB, SHA2_256 } from '../dag/cid.ts'
import type { DirectoryEntry } from './directory-entry.ts'
import { encodeUnixfs, type UnixfsData } from './unixfs-data.ts'

/** What making nodes needs of a store. */
export type BlockSink = Pick<BlockStore, 'put'>

/** A finished DAG. */
export interface NodeRef {
  cid: CID
  /** Bytes of all its blocks; one that occurs several times is counted each time. */
  tsize: number
}

/** Stores a node whose links are ordered by the bytes of their names. @throws P2PError `io`, `disk-full` */
export async function saveNode(
  unixfs: UnixfsData,
  links: DirectoryEntry[],
  store: BlockSink,
  options: AbortOptions,
): Promise<NodeRef> {
  const bytes = dagPb.encode({
    Data: encodeUnixfs(unixfs),
    Links: links.map(({ name, cid, tsize }) => ({ Hash: cid, Name: name, Tsize: tsize })),
  })
  const cid = CID.createV1(DAG_PB, Digest.create(SHA2_256, digestOf(SHA2_256, bytes)!))
  await store.put(cid, bytes, options)
  return { cid, tsize: links.reduce((sum, link) => sum + link.tsize, bytes.length) }
}
