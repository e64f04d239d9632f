import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { hasCode } from '../../src/common/errors.ts'
import { MiB } from '../../src/common/units.ts'
import type { Block } from '../../src/dag/block.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { type ReadBlock, walkDepthFirst } from '../../src/dag/depth-first.ts'
import { linksOf } from '../../src/dag/links.ts'
import { cborBlock, numberedBlock, rawBlock } from '../support/blocks.ts'
import { folderBlock } from '../support/hostile-trees.ts'

/** Gives blocks, and counts how many are being read. */
class Reader {
  readonly blocks = new Map<string, Uint8Array>()
  readonly asked: string[] = []
  unfinished = 0
  mostUnfinished = 0

  constructor(...blocks: Block[]) {
    for (const { cid, bytes } of blocks) this.blocks.set(blockKey(cid), bytes)
  }

  readonly read = async (cid: CID): Promise<ReadBlock> => {
    this.asked.push(cid.toString())
    this.unfinished++
    this.mostUnfinished = Math.max(this.mostUnfinished, this.unfinished)
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
    this.unfinished--
    const bytes = this.blocks.get(blockKey(cid))
    assert.ok(bytes !== undefined, `${cid} is not there`)
    return { cid, size: bytes.byteLength, bytes, links: linksOf(cid, bytes) }
  }
}

async function walked(root: Block, reader: Reader): Promise<string[]> {
  const cids: string[] = []
  for await (const { cid } of walkDepthFirst(root.cid, reader.read)) cids.push(cid.toString())
  return cids
}

test('the order is that of the links, each block comes once, and some are read at the same time', async () => {
  const leaves = Array.from({ length: 100 }, (_, index) => numberedBlock(index))
  const [one, two, three] = leaves as [Block, Block, Block]
  const left = folderBlock([...leaves.entries()].map(([index, block]) => [String(index).padStart(3, '0'), block]))
  const right = folderBlock([
    ['a', two],
    ['b', left],
    ['c', three],
  ])
  const value = cborBlock({ z: [right.cid, { deep: one.cid }], a: left.cid, bytes: new Uint8Array(3) })
  const reader = new Reader(...leaves, left, right, value)
  // A map is in the order of dag-cbor, shorter keys first.
  const expected = [value, left, ...leaves, right].map(({ cid }) => cid.toString())
  assert.deepEqual(await walked(value, reader), expected)
  assert.deepEqual(reader.asked.toSorted(), expected.toSorted())
  assert.ok(reader.mostUnfinished > 8, `${reader.mostUnfinished} at a time`)
})

test('the same bytes are another block as another codec', async () => {
  const leaf = numberedBlock(1)
  const folder = folderBlock([['leaf', leaf]])
  const asRaw = { cid: rawBlock(folder.bytes).cid, bytes: folder.bytes }
  const root = folderBlock([
    ['a', asRaw],
    ['b', folder],
  ])
  const cids = await walked(root, new Reader(leaf, folder, root))
  assert.deepEqual(
    cids,
    [root, asRaw, folder, leaf].map(({ cid }) => cid.toString()),
  )
})

/** A DAG that exists only as far as it is asked for: nodes with these links, and leaves of 2 MiB. */
function imagined(links: Map<CID, CID[]>) {
  const bytes = new Uint8Array(2 * MiB)
  const asked: CID[] = []
  const read = async (cid: CID): Promise<ReadBlock> => {
    asked.push(cid)
    return { cid, size: bytes.byteLength, bytes, links: links.get(cid) ?? [] }
  }
  return { asked, read }
}

test('what is read ahead on all levels together is bounded in bytes', async () => {
  const cids = Array.from({ length: 205 }, (_, index) => numberedBlock(index).cid)
  const nodes = cids.splice(0, 5)
  // Every node has the next one and then its leaves, so that leaves of all levels wait.
  const dag = imagined(
    new Map(nodes.map((node, level) => [node, [...nodes.slice(level + 1, level + 2), ...cids.splice(0, 40)]])),
  )
  let told = 0
  let mostAhead = 0
  for await (const _ of walkDepthFirst(nodes[0]!, dag.read)) {
    told++
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
    mostAhead = Math.max(mostAhead, dag.asked.length - told)
  }
  assert.equal(told, 205)
  assert.ok(mostAhead >= 24 && mostAhead <= 24 + 32, `${mostAhead} blocks of 2 MiB ahead`)
})

test('a failure comes when its block is next', async () => {
  const [leaf, missing] = [numberedBlock(1), numberedBlock(2)]
  const root = folderBlock([
    ['a', leaf],
    ['b', missing],
  ])
  const seen: string[] = []
  await assert.rejects(async () => {
    for await (const { cid } of walkDepthFirst(root.cid, new Reader(leaf, root).read)) seen.push(cid.toString())
  }, /is not there/)
  assert.deepEqual(seen, [root.cid.toString(), leaf.cid.toString()])
})

test('a DAG that is too wide is refused', async () => {
  const [root, below, leaf] = [numberedBlock(1).cid, numberedBlock(2).cid, numberedBlock(3).cid]
  const many = Array<CID>(300_000).fill(leaf)
  const { read } = imagined(
    new Map([
      [root, [below, ...many]],
      [below, many],
    ]),
  )
  await assert.rejects(
    async () => {
      for await (const _ of walkDepthFirst(root, read));
    },
    (error) => hasCode(error, 'limit'),
  )
})
