import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
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

test('what is known of many small leaves takes little more memory than the nodes that name them', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const usedBytes = () => {
    collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    return heapUsed + arrayBuffers
  }
  const fileOfLeaves = (first: number) =>
    fileOf(Array.from({ length: 4096 }, (_, index) => ({ block: numberedBlock(first + index), bytes: 1024 })))
  const inner = Array.from({ length: 16 }, (_, index) => fileOfLeaves(4096 * index))
  const root = fileOf(inner)
  const walk = new Walk(root.block.cid, { checkName: () => {} })
  give(walk, walk.nextNode(true), root)
  const steps = inner.map(() => walk.nextNode(false))
  const before = usedBytes()
  for (const [index, node] of inner.entries()) give(walk, steps[index], node)
  const known = usedBytes() - before
  const encoded = inner.reduce((sum, { block }) => sum + block.bytes.byteLength, 0)
  assert.ok(known < 2 * encoded, `${known} bytes for nodes of ${encoded}`)
  assert.ok(walk.nextLeaf(Number.POSITIVE_INFINITY, false) !== undefined)
})

function give(walk: Walk, step: NodeStep | undefined, { block }: Child): void {
  assert.equal(step?.cid.toString(), block.cid.toString())
  walk.resolve(step!, decodeNode(block.cid, block.bytes), block.bytes.byteLength)
}
