import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { decodeNode } from '../../src/unixfs/decode.ts'
import { Walk } from '../../src/unixfs/walk.ts'
import { isLeafStep, type LeafStep, type NodeStep } from '../../src/unixfs/walk-steps.ts'
import { numberedBlock } from '../support/blocks.ts'
import { type Child, fileOf } from '../support/memory-export.ts'

test('of a large file no more nodes are asked for than stand for a gigabyte ahead', () => {
  const leaves = Array.from({ length: 64 }, (_, index) => ({ block: numberedBlock(index), bytes: 256 * MiB }))
  const inner = Array.from({ length: 16 }, (_, index) => fileOf(leaves.slice(4 * index, 4 * index + 4)))
  const root = fileOf(inner)
  const walk = new Walk(root.block.cid, { checkName: () => {} })

  give(walk, walk.nextNode(true), root)
  const taken: LeafStep[] = []
  let nodes = 0
  for (;;) {
    const asked: NodeStep[] = []
    for (let step = walk.nextNode(false); step !== undefined; step = walk.nextNode(false)) asked.push(step)
    assert.ok(asked.length <= 1, `${asked.length} nodes were asked for at once`)
    for (const step of asked) give(walk, step, inner[nodes++]!)
    assert.ok(4 * nodes - taken.length <= 8, `${nodes} nodes are known when ${taken.length} leaves have been asked for`)
    const leaf = walk.nextLeaf(Number.POSITIVE_INFINITY, false)
    if (leaf === undefined) break
    assert.ok(isLeafStep(leaf))
    taken.push(leaf)
  }
  assert.deepEqual(
    taken.map(({ offset }) => offset),
    leaves.map((_, index) => index * 256 * MiB),
  )
  assert.equal(walk.done, true)
})

function give(walk: Walk, step: NodeStep | undefined, { block }: Child): void {
  assert.equal(step?.cid.toString(), block.cid.toString())
  walk.resolve(step!, decodeNode(block.cid, block.bytes), block.bytes.byteLength)
}
