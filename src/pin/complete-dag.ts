/** Makes sure that all of a DAG is here, and held. Called by `get` and `pin add` once most of it has come. */

import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../blockstore/blockstore.ts'
import type { AbortOptions } from '../common/abort.ts'
import { mapBounded } from '../common/concurrency.ts'
import type { BlockReader } from '../dag/block.ts'
import { isLeaf, linksOf } from '../dag/links.ts'
import { walkDag } from '../dag/walk.ts'
import type { Hold } from './hold.ts'

const PARALLEL = 8

export interface CompleteDagOptions extends AbortOptions {
  hold: Hold
  store: Pick<BlockStore, 'put'>
  /**
   * Whether a leaf is where it has to be, and survives a power cut. That there is a file of it does not say so: whoever
   * put it may have ended before the barrier. What was put is covered by the next one.
   */
  hasLeaf: (cid: CID) => Promise<boolean>
  /** Gives what is not, here or elsewhere; it is put, again if need be. */
  reader: BlockReader
}

/**
 * When it returns, every inner node below `root` is in the store, every leaf is here, the hold has them all, and the next
 * sync of the store makes durable what is not.
 *
 * @throws P2PError `bad-data` for a node that cannot be read, and whatever the reader and the store throw
 */
export async function completeDag(root: CID, options: CompleteDagOptions): Promise<void> {
  const { hold, store, hasLeaf, reader, signal } = options
  const sink = hold.over(store)
  const readNode = async (cid: CID): Promise<CID[]> => {
    const block = await reader.fetch(cid, { signal })
    await sink.put(cid, block, { signal })
    return linksOf(cid, block)
  }
  const ensureLeaf = async (cid: CID): Promise<void> => {
    if (!(await hasLeaf(cid))) await sink.put(cid, await reader.fetch(cid, { signal }), { signal })
  }
  if (isLeaf(root)) {
    await hold.add([root])
    await ensureLeaf(root)
    return
  }
  for await (const { links } of walkDag(root, readNode)) {
    signal?.throwIfAborted()
    await hold.add(links)
    const leaves = links.filter(isLeaf)
    await mapBounded(leaves, PARALLEL, ensureLeaf)
  }
}
