/**
 * Cuts one file into blocks and builds its tree, by profile `unixfs-v1-2025`, with `ipfs-unixfs-importer`. Folders and
 * symlinks are made in `nodes.ts`.
 * @see https://github.com/ipfs/specs/blob/main/src/ipips/ipip-0499.md
 */

import { type BufferImporter, importFile as importWithLibrary } from 'ipfs-unixfs-importer'
import type { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import type { AbortOptions } from '../common/abort.ts'
import { digestOf } from '../dag/block.ts'
import { rawCid, SHA2_256 } from '../dag/cid.ts'
import type { BlockSink, NodeRef } from './save-node.ts'

/** Keeps a leaf, whose content starts at `offset` in its file. Called in no order. */
export type PutLeaf = (cid: CID, content: Uint8Array, offset: number) => Promise<void>

/**
 * Imports one file as a stream. However large it is, memory holds some ten chunks of 1 MiB; content that comes in
 * pieces of that size is not copied.
 *
 * @param store - takes the inner nodes
 * @throws P2PError `io`, `disk-full` from the store; whatever `content` and `putLeaf` throw; the signal's reason when
 * aborted
 */
export async function importFile(
  content: AsyncIterable<Uint8Array>,
  store: BlockSink,
  putLeaf: PutLeaf,
  options: AbortOptions = {},
): Promise<NodeRef> {
  const blocks = {
    put: async (cid: CID, bytes: Uint8Array) => {
      await store.put(cid, bytes, options)
      return cid
    },
  }
  const root = await importWithLibrary({ content }, blocks, {
    profile: 'unixfs-v1-2025',
    bufferImporter: rawLeaves(putLeaf),
  })
  return { cid: root.cid, tsize: Number(root.size) }
}

/** The library's own does not say where in the file a leaf lies. */
function rawLeaves(putLeaf: PutLeaf): BufferImporter {
  return async function* importChunks({ content }) {
    let end = 0
    for await (const chunk of content) {
      const offset = end
      end += chunk.byteLength
      yield async () => {
        const cid = rawCid(Digest.create(SHA2_256, digestOf(SHA2_256, chunk)!))
        await putLeaf(cid, chunk, offset)
        return { cid, size: BigInt(chunk.byteLength), block: chunk }
      }
    }
  }
}
