import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { hasCode } from '../../src/common/errors.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { walkDag } from '../../src/dag/walk.ts'
import { dagPbBlock, numberedBlock } from '../support/blocks.ts'

const nodeCid = (index: number) => dagPbBlock(numberedBlock(index).bytes).cid

/** The nodes of a DAG of these links, in the order of the walk. */
async function walked(root: CID, links: Map<CID, CID[]>): Promise<string[]> {
  const nodes: string[] = []
  for await (const { cid } of walkDag(root, async (node) => links.get(node) ?? [])) nodes.push(blockKey(cid))
  return nodes
}

test('each node comes once and in the order of the links, leaves are only named', async () => {
  const [root, left, right, below] = [0, 1, 2, 3].map(nodeCid) as [CID, CID, CID, CID]
  const leaf = numberedBlock(4).cid
  const links = new Map([
    [root, [left, left, leaf, right, left]],
    [left, [below, leaf]],
    [right, [below, root, left]],
  ])
  assert.deepEqual(await walked(root, links), [root, left, below, right].map(blockKey))
})

test('links that something else has led to do not wait, and too many others are refused', async () => {
  const [root, ...levels] = Array.from({ length: 12 }, (_, index) => nodeCid(index)) as [CID, ...CID[]]
  const links = (others: CID[]) =>
    new Map([root, ...levels].map((node, level) => [node, [...levels.slice(level, level + 1), ...others]]))
  const again = Array<CID>(60_000).fill(root)
  assert.equal((await walked(root, links(again))).length, 12)
  const many = Array.from({ length: 500_001 }, (_, index) => nodeCid(100 + index))
  await assert.rejects(walked(root, new Map([[root, many]])), (error) => hasCode(error, 'limit'))
})
