/** Nodes that were damaged at random, alone and within a tree: each ends in content or in a typed error, and ends. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encode, prepare } from '@ipld/dag-pb'
import fc from 'fast-check'
import { hasCode, P2PError } from '../../src/common/errors.ts'
import { MINUTE_MS } from '../../src/common/units.ts'
import type { Block } from '../../src/dag/block.ts'
import { decodeNode } from '../../src/unixfs/decode.ts'
import { resolvePath } from '../../src/unixfs/path.ts'
import { bucketAt, bucketPrefix, hashName } from '../../src/unixfs/shard.ts'
import { encodeUnixfs, type UnixfsData } from '../../src/unixfs/unixfs-data.ts'
import { dagPbBlock, numberedBlock } from '../support/blocks.ts'
import { type Child, exported, fileOf, leaf, Source } from '../support/memory-export.ts'

/** Another one with `HOSTILE_SEED=<number>`; more with `HOSTILE_RUNS`, as a factor. */
const SEED = Number(process.env.HOSTILE_SEED ?? 20_240_601)
const FACTOR = Number(process.env.HOSTILE_RUNS ?? 1)
const DECODE_RUNS = 20_000 * FACTOR
const TREE_RUNS = 500 * FACTOR

function nodeOf(unixfs: UnixfsData, links: [string, Child][] = []): Child {
  const node = prepare({
    Data: encodeUnixfs(unixfs),
    Links: links.map(([name, { block }]) => ({ Hash: block.cid, Name: name, Tsize: block.bytes.byteLength })),
  })
  return { block: dagPbBlock(encode(node)), bytes: 0 }
}

/** One of each kind of node, with all that it may carry. */
function makeTree(): { root: Child; nodes: Child[]; leaves: Child[] } {
  const mtime = { seconds: -5, nanoseconds: 7 }
  const leaves = Array.from({ length: 5 }, (_, index) => leaf(numberedBlock(index, 50)))
  const dagPbLeaf = nodeOf({ type: 'file', data: Buffer.from('leaf'), fileSize: 4, blockSizes: [], mode: 0o640, mtime })
  const inner = [fileOf(leaves.slice(0, 2)), fileOf([...leaves.slice(2), { ...dagPbLeaf, bytes: 4 }])]
  const file = fileOf(inner)
  const link = nodeOf({ type: 'symlink', data: Buffer.from('file'), blockSizes: [], mtime })
  const entryBucket = bucketAt(hashName('entry'), 0, 256)!
  const below = bucketAt(hashName('entry'), 1, 256)!
  const shardData = (bucket: number): UnixfsData => {
    const data = Buffer.alloc((bucket >> 3) + 1)
    data[0] = 1 << (bucket & 7)
    return { type: 'hamt-shard', data, hashType: 0x22, fanout: 256, blockSizes: [] }
  }
  const subShard = nodeOf(shardData(below), [[`${bucketPrefix(below, 256)}entry`, dagPbLeaf]])
  const shard = nodeOf({ ...shardData(entryBucket), mode: 0o755 }, [[bucketPrefix(entryBucket, 256), subShard]])
  const root = nodeOf({ type: 'directory', blockSizes: [], mode: 0o755, mtime }, [
    ['file', file],
    ['link', link],
    ['shard', shard],
  ])
  return { root, nodes: [root, file, ...inner, link, shard, subShard, dagPbLeaf], leaves }
}

const tree = makeTree()
const someBytes = fc.uint8Array({ minLength: 1, maxLength: 12 })
/** What protobuf makes most of: the largest numbers, field tags, and lengths. */
const spikes = fc.constantFrom(
  ...[[0xff, 0xff, 0xff, 0xff, 0x0f], Array<number>(9).fill(0xff).concat(1), [0x80, 0x80, 0x00], [0x12, 0x00]].map(
    (bytes) => Uint8Array.from(bytes),
  ),
)
const change = fc.oneof(
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(400), bytes: fc.constant(new Uint8Array(0)) }),
  fc.record({
    kind: fc.constantFrom('insert' as const, 'replace' as const, 'remove' as const, 'repeat' as const),
    at: fc.nat(400),
    bytes: fc.oneof(someBytes, spikes),
  }),
)
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never

function changed(original: Uint8Array, { kind, at: wanted, bytes }: Change): Uint8Array {
  const at = wanted % (original.byteLength + 1)
  const [before, after] = [original.subarray(0, at), original.subarray(at)]
  if (kind === 'cut') return before
  if (kind === 'insert') return Buffer.concat([before, bytes, after])
  if (kind === 'replace') return Buffer.concat([before, bytes, after.subarray(bytes.byteLength)])
  if (kind === 'remove') return Buffer.concat([before, after.subarray(bytes.byteLength)])
  return Buffer.concat([before, ...Array<Uint8Array>(bytes.byteLength).fill(after)])
}

const damagedNode = fc
  .tuple(fc.nat(tree.nodes.length - 1), fc.array(change, { minLength: 1, maxLength: 3 }))
  .map(([index, changes]) => {
    const { block } = tree.nodes[index]!
    return { block, bytes: changes.reduce(changed, block.bytes) }
  })

/** Nothing but what a decoder says about bytes: a failure of the decoder itself has another cause. */
function assertTyped(error: unknown): void {
  assert.ok(hasCode(error, 'bad-data', 'bad-ref', 'limit', 'no-provider', 'not-found'), String(error))
  for (let cause: unknown = error; cause !== undefined; cause = (cause as Error).cause) {
    assert.ok(!(cause instanceof TypeError || cause instanceof RangeError), (cause as Error).stack)
  }
}

function decodeOrRefuse(cid: Block['cid'], bytes: Uint8Array): void {
  try {
    decodeNode(cid, bytes)
  } catch (error) {
    assertTyped(error)
    assert.ok(error instanceof P2PError && error.code === 'bad-data')
  }
}

describe('hostile nodes', { timeout: 5 * MINUTE_MS }, () => {
  test('any bytes decode or are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => decodeOrRefuse(tree.root.block.cid, bytes)),
      { seed: SEED, numRuns: DECODE_RUNS },
    )
  })

  test('damaged nodes decode or are refused', () => {
    fc.assert(
      fc.property(damagedNode, ({ block, bytes }) => decodeOrRefuse(block.cid, bytes)),
      { seed: SEED, numRuns: DECODE_RUNS },
    )
  })

  test('the tree that the damaged nodes are from is whole', async () => {
    const sink = await exported(tree.root, new Source().hold(...tree.nodes, ...tree.leaves))
    assert.deepEqual([...sink.files.keys()].toSorted(), ['file', 'shard/entry'])
    assert.deepEqual([...sink.links], [['link', 'file']])
  })

  test('a tree with a damaged node comes out or is refused, and so does a path through it', async () => {
    let refused = 0
    await fc.assert(
      fc.asyncProperty(damagedNode, async ({ block, bytes }) => {
        const source = new Source().hold(...tree.nodes, ...tree.leaves)
        source.put(block.cid, bytes)
        const attempts = [
          () => exported(tree.root, source),
          () => resolvePath(tree.root.block.cid, ['shard', 'entry'], source),
        ]
        for (const attempt of attempts) {
          await attempt().catch((error) => {
            refused++
            assertTyped(error)
          })
        }
      }),
      { seed: SEED, numRuns: TREE_RUNS },
    )
    assert.ok(refused > 0)
  })
})
