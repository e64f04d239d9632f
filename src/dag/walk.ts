/** The whole of a DAG by its inner nodes: leaves are named, not read. Used by all that keeps, checks and removes blocks. */

import type { CID } from 'multiformats/cid'
import { P2PError } from '../common/errors.ts'
import { BlockSet } from './block-set.ts'
import { isIdentity } from './cid.ts'
import { isLeaf } from './links.ts'

/** Links of the nodes on the way down that are still to be followed; more makes a tree that is made to be too much. */
const MAX_WAITING_LINKS = 500_000

export interface WalkedNode {
  cid: CID
  /** As in `links.ts`. Leaves are named here alone. */
  links: readonly CID[]
}

/**
 * The root, then every other block that can have links, each once and after one that links to it. Memory holds the links
 * of the nodes on the way down that nothing else has led to, and 16 bytes a node.
 *
 * @param linksOf - reads a node; what it throws ends the walk
 * @throws P2PError `limit` for a DAG with over 500,000 links side by side
 */
export async function* walkDag(root: CID, linksOf: (node: CID) => Promise<readonly CID[]>): AsyncGenerator<WalkedNode> {
  const seen = new BlockSet()
  // Blocks that are inside CIDs can be short, and cannot be many.
  const isNew = (cid: CID) => isIdentity(cid) || seen.add(cid)
  const stack = [root]
  isNew(root)
  for (let cid = stack.pop(); cid !== undefined; cid = stack.pop()) {
    const links = isLeaf(cid) ? [] : await linksOf(cid)
    yield { cid, links }
    const next = links.filter((link) => !isLeaf(link) && isNew(link))
    refuseTooWide(root, stack.length + next.length)
    for (const link of next.toReversed()) stack.push(link)
  }
}

/** @throws P2PError `limit` for more than 500,000 links that wait to be followed */
export function refuseTooWide(root: CID, waitingLinks: number): void {
  if (waitingLinks <= MAX_WAITING_LINKS) return
  throw new P2PError('limit', `The DAG below ${root} has over ${MAX_WAITING_LINKS} links side by side`)
}
