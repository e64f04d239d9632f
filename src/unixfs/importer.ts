/**
 * Cuts one file into blocks and builds its tree, by profile `unixfs-v1-2025`, with `ipfs-unixfs-importer`. Folders and
 * symlinks are made in `nodes.ts`.
 * @see https://github.com/ipfs/specs/blob/main/src/ipips/ipip-0499.md
 */

import { importFile as importWithLibrary } from 'ipfs-unixfs-importer'
import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import type { BlockSink, NodeRef } from './save-node.ts'

/**
 * Imports one file as a stream. However large it is, memory holds some ten chunks of 1 MiB; content that comes in
 * pieces of that size is not copied.
 *
 * @throws P2PError `io`, `disk-full` from the store; whatever `content` throws; the signal's reason when aborted
 */
export async function importFile(
  content: AsyncIterable<Uint8Array>,
  store: BlockSink,
  options: AbortOptions = {},
): Promise<NodeRef> {
  const blocks = {
    put: async (cid: CID, bytes: Uint8Array) => {
      await store.put(cid, bytes, options)
      return cid
    },
  }
  const root = await importWithLibrary({ content }, blocks, { profile: 'unixfs-v1-2025' })
  return { cid: root.cid, tsize: Number(root.size) }
}
