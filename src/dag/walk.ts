/** The whole of a DAG by its inner nodes: leaves are named, not read. Used by all that keeps, checks and removes blocks. */

import type { CID } from 'multiformats/cid'
import { BlockSet } from './block-set.ts'
import { isIdentity } from './cid.ts'
import { isLeaf } from './links.ts'

export interface WalkedNode {
  cid: CID
  /** As in `links.ts`. Leaves are named here alone. */
  links: readonly CID[]
}

/**
 * The root, then every other block that can have links, each once and before what it links to. Memory holds the links
 * of the nodes on the way down, and 16 bytes a node.
 *
 * @param linksOf - reads a node; what it throws ends the walk
 */
export async function* walkDag(root: CID, linksOf: (node: CID) => Promise<readonly CID[]>): AsyncGenerator<WalkedNode> {
  const seen = new BlockSet()
  const stack = [root]
  for (let cid = stack.pop(); cid !== undefined; cid = stack.pop()) {
    // Blocks that are inside CIDs can be short, and cannot be many.
    if (!isIdentity(cid) && !seen.add(cid)) continue
    const links = isLeaf(cid) ? [] : await linksOf(cid)
    yield { cid, links }
    for (const link of links.toReversed()) if (!isLeaf(link)) stack.push(link)
  }
}
