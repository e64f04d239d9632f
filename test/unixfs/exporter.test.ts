import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { encode } from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { hasCode } from '../../src/common/errors.ts'
import { KiB, MiB } from '../../src/common/units.ts'
import { StreamOutput } from '../../src/files/stream-output.ts'
import { encodeUnixfs } from '../../src/unixfs/unixfs-data.ts'
import { dagPbBlock, identityCid, numberedBlock, rawBlock } from '../support/blocks.ts'
import { type Entry, shardBlock } from '../support/hostile-trees.ts'
import { type Child, exported, fileOf, folderOf, leaf, MemorySink, Source } from '../support/memory-export.ts'

const LATIN1 = Buffer.from('caf\u00e9', 'latin1')

describe('exporter', () => {
  test('a tree of folders, small files and a file of several levels comes out whole, each block asked for once', async () => {
    const leaves = Array.from({ length: 20 }, (_, index) => leaf(numberedBlock(index, 100)))
    const inner = [fileOf(leaves.slice(0, 10)), fileOf(leaves.slice(10))]
    const large = fileOf(inner)
    const small = leaf(numberedBlock(77, 50))
    const empty = leaf(rawBlock(new Uint8Array(0)))
    const deep = folderOf({ small, nothing: empty })
    const root = folderOf({ large, deep, 'empty folder': folderOf({}) })
    const source = new Source().hold(...leaves, ...inner, large, small, empty, deep, root, folderOf({}))
    const sink = await exported(root, source)
    assert.deepEqual(sink.files.get('large'), Buffer.concat(leaves.map(({ block }) => block.bytes)))
    assert.deepEqual(sink.files.get('deep/small'), Buffer.from(small.block.bytes))
    assert.equal(sink.files.get('deep/nothing')?.byteLength, 0)
    assert.deepEqual(sink.folders.toSorted(), ['', 'deep', 'empty folder'])
    assert.deepEqual([...sink.closed].toSorted(), ['deep/nothing', 'deep/small', 'large'])
    assert.equal(new Set(source.asked).size, source.asked.length)
  })

  test('leaves are asked for from any one on, those before it last', async () => {
    const leaves = Array.from({ length: 10 }, (_, index) => leaf(numberedBlock(index, 100)))
    const file = fileOf(leaves.slice(0, 6))
    const entries = Object.fromEntries(leaves.slice(6).map((child, index) => [`${index}`, child]))
    const root = folderOf({ file, ...entries })
    const source = new Source().hold(...leaves, file, root)
    const sink = await exported(root, source, undefined, { firstLeaf: (count) => count - 2 })
    const order = source.asked.flatMap((cid) => {
      const index = leaves.findIndex(({ block }) => block.cid.toString() === cid)
      return index === -1 ? [] : [index]
    })
    assert.deepEqual(
      order.filter((index) => index < 6),
      [4, 5, 0, 1, 2, 3],
    )
    assert.deepEqual(
      order.filter((index) => index >= 6),
      [8, 9, 6, 7],
    )
    assert.deepEqual(sink.files.get('file'), Buffer.concat(leaves.slice(0, 6).map(({ block }) => block.bytes)))
    assert.equal(sink.closed.size, 5)
  })

  test('a leaf that occurs a thousand times is asked for once and written a thousand times', async () => {
    const same = leaf(numberedBlock(1, 64))
    const root = fileOf(Array.from({ length: 5000 }, () => same))
    const source = new Source().hold(same, root)
    const sink = await exported(root, source)
    assert.equal(source.asked.filter((cid) => cid === same.block.cid.toString()).length, 1)
    assert.equal(sink.writes, 5000)
    assert.deepEqual(sink.files.get('')?.subarray(4999 * 64), Buffer.from(same.block.bytes))
  })

  test('equal small files of a folder are asked for once while they are on their way', async () => {
    const same = leaf(numberedBlock(1, 64))
    const names = Array.from({ length: 50 }, (_, index) => `file-${index}`)
    const root = folderOf(Object.fromEntries(names.map((name) => [name, same])))
    const source = new Source().hold(same, root)
    const sink = await exported(root, source)
    assert.equal(source.asked.length, 2)
    assert.equal(sink.closed.size, 50)
  })

  test('parts without content are looked at, and close no file twice', async () => {
    const empty = leaf(rawBlock(new Uint8Array(0)))
    const full = leaf(numberedBlock(1, 64))
    const hollow = fileOf([empty, empty])
    const padded = fileOf([empty, full, empty])
    const root = folderOf({ hollow, padded })
    const source = new Source().hold(empty, full, hollow, padded, root)
    const sink = await exported(root, source)
    assert.equal(sink.files.get('hollow')?.byteLength, 0)
    assert.deepEqual(sink.files.get('padded'), Buffer.from(full.block.bytes))
    assert.deepEqual([...sink.closed].toSorted(), ['hollow', 'padded'])
    assert.ok(source.asked.includes(empty.block.cid.toString()))
  })

  test('what is in flight stays within the window', async () => {
    const leaves = Array.from({ length: 200 }, (_, index) => leaf(numberedBlock(index, MiB)))
    const root = fileOf(leaves)
    const source = new Source().hold(...leaves, root)
    await exported(root, source)
    assert.ok(source.maxConcurrentBytes <= 49 * MiB, `${source.maxConcurrentBytes}`)
    assert.ok(source.maxConcurrentBytes >= 32 * MiB, `${source.maxConcurrentBytes}`)
  })

  test('leaves beyond the end of the window are left for later', async () => {
    const leaves = Array.from({ length: 8 }, (_, index) => leaf(numberedBlock(index, KiB)))
    const root = fileOf(leaves)
    const source = new Source().hold(...leaves, root)
    const sink = new MemorySink()
    sink.end = 2 * KiB
    const write = sink.write.bind(sink)
    sink.write = async (place, content) => {
      await write(place, content)
      assert.ok(place.offset < sink.end)
      sink.end += KiB
    }
    await exported(root, source, sink)
    assert.equal(sink.writes, 8)
  })

  test('a stream comes out in order though a repeated leaf is met first where it comes later', async () => {
    const same = leaf(numberedBlock(1, 1000))
    const others = [leaf(numberedBlock(2, 3 * MiB)), leaf(numberedBlock(3, 3 * MiB))]
    const inner = others.map((other) => fileOf([same, fileOf([other])]))
    const root = fileOf(inner)
    const source = new Source().hold(same, ...others, ...others.map((other) => fileOf([other])), ...inner, root)
    const slow = inner[0]!.block.cid.toString()
    const fetch = source.fetch.bind(source)
    source.fetch = async (cid, options) => {
      // The second half is known long before the first.
      if (cid.toString() === slow) for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
      return await fetch(cid, options)
    }
    const written: Uint8Array[] = []
    const sink = new StreamOutput(async (bytes) => {
      written.push(bytes)
    })
    await exported(root, source, sink as unknown as MemorySink)
    const content = [same, others[0]!, same, others[1]!].map(({ block }) => block.bytes)
    assert.deepEqual(Buffer.concat(written), Buffer.concat(content))
  })

  test('a stream goes on however much is known of what comes after the content that it waits for', async () => {
    const same = leaf(numberedBlock(1, MiB))
    const first = [fileOf(Array<Child>(4).fill(same)), fileOf(Array<Child>(6).fill(same))]
    const halves = [fileOf(first), fileOf(Array<Child>(1100).fill(same))]
    const root = fileOf(halves)
    let bytes = 0
    const sink = new StreamOutput(async ({ byteLength }) => {
      bytes += byteLength
    })
    await exported(root, new Source().hold(same, ...first, ...halves, root), sink as unknown as MemorySink)
    assert.equal(bytes, root.bytes)
  })

  test('a part of a file is read from the blocks that hold it, and no others', async () => {
    const leaves = Array.from({ length: 6 }, (_, index) => leaf(numberedBlock(index, 100)))
    const halves = [fileOf(leaves.slice(0, 3)), fileOf(leaves.slice(3))]
    const root = fileOf(halves)
    const content = Buffer.concat(leaves.map(({ block }) => block.bytes))
    for (const [offset, length, fetchedBlocks] of [
      [0, undefined, 1 + 2 + 6],
      [99, undefined, 1 + 2 + 6],
      [100, undefined, 1 + 2 + 5],
      [250, undefined, 1 + 2 + 4],
      [300, undefined, 1 + 1 + 3],
      [600, undefined, 1],
      [601, undefined, 1],
      [0, 0, 1],
      [0, 100, 1 + 1 + 1],
      [0, 101, 1 + 1 + 2],
      [299, 2, 1 + 2 + 2],
      [550, 100, 1 + 1 + 1],
    ] as const) {
      const source = new Source().hold(root, ...halves, ...leaves)
      const written: Uint8Array[] = []
      const part = { offset, length }
      const sink = new StreamOutput(async (bytes) => {
        written.push(bytes)
      }, part)
      const shown = JSON.stringify(part)
      const wanted = content.subarray(offset, length === undefined ? undefined : offset + length)
      const progress: number[] = []
      await exported(root, source, sink as unknown as MemorySink, {
        range: sink.range,
        onProgress: ({ bytes, totalBytes }) => progress.push(bytes, totalBytes ?? -1),
      })
      assert.deepEqual(Buffer.concat(written), wanted, shown)
      assert.equal(new Set(source.asked).size, fetchedBlocks, shown)
      assert.deepEqual(progress.slice(-2), [wanted.byteLength, wanted.byteLength], shown)
    }
  })

  test('a bomb of nodes that fan out with next to no content is refused before it fills the memory', async () => {
    const nothing = leaf(rawBlock(new Uint8Array(0)))
    const tiny = leaf(numberedBlock(1))
    const inner = fileOf([tiny])
    const wide = Array.from({ length: 60 }, (_, index) =>
      fileOf([...Array<Child>(20_000 + index).fill(nothing), inner]),
    )
    const root = fileOf(wide.map((child) => fileOf([child])))
    const source = new Source().hold(nothing, tiny, inner, ...wide, ...wide.map((child) => fileOf([child])), root)
    await assert.rejects(exported(root, source), (error) => hasCode(error, 'limit'))
  })

  test('parts of a file may be empty, but not have parts of their own then', async () => {
    const nothing = leaf(rawBlock(new Uint8Array(0)))
    const file = fileOf([nothing, leaf(numberedBlock(1)), nothing])
    const source = new Source().hold(nothing, leaf(numberedBlock(1)), file)
    assert.deepEqual((await exported(file, source)).files.get(''), Buffer.from(numberedBlock(1).bytes))
    const below = fileOf([nothing, nothing])
    const root = fileOf([below, below])
    await assert.rejects(exported(root, source.hold(below, root)), (error) => hasCode(error, 'bad-data'))
  })

  test('entries that are left out and parts of folders that are empty count as entries', async () => {
    const good = leaf(numberedBlock(1))
    const names = Array.from({ length: 100 }, (_, index) => `a/${index}`)
    const refused = folderOf(Object.fromEntries(names.map((name) => [name, good])))
    let shard = shardBlock(new Map())
    const shards = [shard]
    for (let level = 0; level < 3; level++) {
      const [, ...others] = Array.from({ length: 8 }, (_, bucket): [number, Entry] => [bucket, ['', shards[level]!]])
      shard = shardBlock(new Map(others))
      shards.push(shard)
    }
    const source = new Source().hold(good, refused, ...shards.map(leaf))
    for (const root of [refused, leaf(shard)]) {
      assert.deepEqual((await exported(root, source)).files.size, 0)
      await assert.rejects(exported(root, source, undefined, { maxEntries: 99 }), (error) => hasCode(error, 'limit'))
    }
  })

  test('folders that stand for endlessly many by having each other are refused', async () => {
    let node = folderOf({})
    const all = [node]
    for (let level = 0; level < 40; level++) {
      node = folderOf({ one: node, other: node })
      all.push(node)
    }
    const source = new Source().hold(...all)
    const sink = new MemorySink()
    await assert.rejects(exported(node, source, sink, { maxEntries: 1000 }), (error) => hasCode(error, 'limit'))
    assert.ok(sink.folders.length <= 1000)
    assert.equal((await exported(all[8]!, source, undefined, { maxEntries: 1000 })).folders.length, 511)
  })

  test('entries with names that lead elsewhere are left out, the rest comes out', async () => {
    const good = leaf(numberedBlock(1))
    const root = folderOf({ good, '..': good, 'a/b': good, 'x\0y': good })
    const sink = await exported(root, new Source().hold(good, root))
    assert.deepEqual([...sink.files.keys()], ['good'])
    assert.deepEqual(sink.refused.toSorted(), ['..', 'a/b', 'x\0y'])
  })

  test('a folder of 40,000 names in one block comes out', async () => {
    const empty = leaf(rawBlock(new Uint8Array(0)))
    const root = folderOf(Object.fromEntries(Array.from({ length: 40_000 }, (_, index) => [`${index}`, empty])))
    assert.ok(root.block.bytes.byteLength < 2 * MiB)
    const sink = await exported(root, new Source().hold(empty, root))
    assert.equal(sink.closed.size, 40_000)
  })

  test('what is inside CIDs is not asked for, and blocks of other codecs come out as they are', async () => {
    const inline = { block: { cid: identityCid(Buffer.from('inline')), bytes: Buffer.from('inline') }, bytes: 6 }
    const { cid, bytes } = numberedBlock(1)
    const cbor = { block: { cid: CID.createV1(0x71, cid.multihash), bytes }, bytes: 8 }
    const root = folderOf({ inline, cbor })
    for (const [top, prefix] of [
      [root, ''],
      [cbor, undefined],
    ] as const) {
      const sink = await exported(top, new Source().hold(cbor, root))
      assert.deepEqual(sink.files.get(prefix === undefined ? '' : 'cbor'), Buffer.from(bytes))
      assert.deepEqual(sink.opaque, [prefix === undefined ? '' : 'cbor'])
      if (prefix !== undefined) assert.equal(sink.files.get('inline')?.toString(), 'inline')
    }
    const inFile = fileOf([cbor])
    await assert.rejects(exported(inFile, new Source().hold(cbor, inFile)), (error) => hasCode(error, 'bad-data'))
  })

  test('an entry whose CID could not be checked is left out, the rest comes out', async () => {
    const good = leaf(numberedBlock(1))
    const md5 = CID.createV1(0x55, Digest.create(0xd5, new Uint8Array(16)))
    const root = folderOf({ good, bad: { block: { cid: md5, bytes: new Uint8Array(0) }, bytes: 0 } })
    const sink = await exported(root, new Source().hold(good, root))
    assert.deepEqual([[...sink.files.keys()], sink.refused], [['good'], ['bad']])
  })

  test('names and targets that are not UTF-8 are left out, the rest comes out', async () => {
    const good = leaf(numberedBlock(1))
    const link = dagPbBlock(
      encode({ Data: encodeUnixfs({ type: 'symlink', data: LATIN1, blockSizes: [] }), Links: [] }),
    )
    const named = folderOf({ good, link: leaf(link), 'caf?': good })
    const bytes = Buffer.from(named.block.bytes)
    bytes[bytes.indexOf('caf?') + 3] = LATIN1.at(-1)!
    const root = leaf(dagPbBlock(bytes))
    const sink = await exported(root, new Source().hold(good, leaf(link), root))
    assert.deepEqual([...sink.files.keys()], ['good'])
    assert.deepEqual(sink.refused.toSorted(), ['caf\udce9', 'link'])
  })

  test('sizes that do not fit are refused', async () => {
    const part = leaf(numberedBlock(1, 100))
    const lying = fileOf([part], [99])
    const innerLie = fileOf([fileOf([part])], [5 * MiB])
    for (const root of [lying, innerLie]) {
      const source = new Source().hold(part, fileOf([part]), root)
      await assert.rejects(exported(root, source), (error) => hasCode(error, 'bad-data'))
    }
  })

  test('a tree deeper than the limit is refused', async () => {
    let node = leaf(numberedBlock(1, 3 * MiB))
    const all = [node]
    for (let depth = 0; depth < 300; depth++) {
      node = fileOf([node])
      all.push(node)
    }
    await assert.rejects(exported(node, new Source().hold(...all)), (error) => hasCode(error, 'bad-data'))
  })

  test('the first failure ends it, after what was begun has ended', async () => {
    const leaves = Array.from({ length: 10 }, (_, index) => leaf(numberedBlock(index, 100)))
    const root = fileOf(leaves)
    const source = new Source().hold(root, ...leaves.slice(1))
    await assert.rejects(exported(root, source), (error) => hasCode(error, 'no-provider'))
  })
})
