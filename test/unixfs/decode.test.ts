import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as dagPb from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { hasCode } from '../../src/common/errors.ts'
import { parseCid, RAW } from '../../src/dag/cid.ts'
import { linksOf, MAX_LINKS } from '../../src/dag/links.ts'
import { type DecodedNode, decodeNode, linksIn } from '../../src/unixfs/decode.ts'
import { encodeUnixfs, type UnixfsData } from '../../src/unixfs/unixfs-data.ts'
import { rawBlock } from '../support/blocks.ts'

const NODE = parseCid('bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354')
const LEAF = parseCid('bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e')
const NO_CONTENT = new Uint8Array(0)

type Link = { name?: string; cid?: CID; tsize?: number }

function block(unixfs: UnixfsData | undefined, links: Link[] = []): Uint8Array {
  return dagPb.encode(
    dagPb.prepare({
      ...(unixfs && { Data: encodeUnixfs(unixfs) }),
      Links: links.map(({ name = '', cid = LEAF, tsize = 0 }) => ({ Hash: cid, Name: name, Tsize: tsize })),
    }),
  )
}

function decode(unixfs: UnixfsData | undefined, links?: Link[]): DecodedNode {
  return decodeNode(NODE, block(unixfs, links))
}

function shard(change: Partial<UnixfsData>, names: string[]): DecodedNode {
  const unixfs: UnixfsData = { type: 'hamt-shard', hashType: 0x22, fanout: 256, blockSizes: [], ...change }
  return decode(
    unixfs,
    names.map((name) => ({ name })),
  )
}

function assertRefused(action: () => unknown, message?: RegExp): void {
  assert.throws(action, (error) => {
    assert.ok(hasCode(error, 'bad-data'), String(error))
    if (message !== undefined) assert.match(error.message, message)
    return true
  })
}

/** A dag-pb node by hand, for what the library does not write. */
function field(number: number, bytes: Uint8Array): Uint8Array {
  assert.ok(bytes.length < 128)
  return Buffer.concat([Uint8Array.of(number * 8 + 2, bytes.length), bytes])
}

test('every link of a node is among those that its description names', () => {
  const [first, second, third] = ['first', 'second', 'third'].map((text) => rawBlock(Buffer.from(text)).cid)
  const names = [
    { name: 'a', cid: first! },
    { name: 'b', cid: second! },
    // One that is refused later.
    { name: '..', cid: third! },
  ]
  const parts = names.map(({ cid }) => ({ cid, tsize: 5 }))
  const inBuckets = [
    { name: '00a', cid: first! },
    { name: '01', cid: second! },
    { name: '02..', cid: third! },
  ]
  const nodes = [
    block({ type: 'directory', blockSizes: [] }, names),
    block({ type: 'file', fileSize: 15, blockSizes: [5, 5, 5] }, parts),
    block({ type: 'hamt-shard', hashType: 0x22, fanout: 256, data: Uint8Array.of(0b111), blockSizes: [] }, inBuckets),
    block({ type: 'symlink', data: Buffer.from('target'), blockSizes: [] }),
  ]
  const textsOf = (cids: CID[]) => cids.map(String).toSorted()
  for (const node of nodes) {
    assert.deepEqual(textsOf(linksIn(decodeNode(NODE, node))), textsOf(linksOf(NODE, node)))
  }
})

test('leaves: raw blocks and UnixFS files without links', () => {
  const content = Uint8Array.from(Buffer.from('abc'))
  assert.deepEqual(decodeNode(LEAF, content), { kind: 'leaf', content })
  assert.deepEqual(decode({ type: 'file', data: content, fileSize: 3, blockSizes: [] }), { kind: 'leaf', content })
  assert.deepEqual(decode({ type: 'raw', data: content, fileSize: 3, blockSizes: [] }), { kind: 'leaf', content })
  assert.deepEqual(decode({ type: 'file', fileSize: 0, blockSizes: [] }), { kind: 'leaf', content: NO_CONTENT })
  assert.deepEqual(decode({ type: 'file', blockSizes: [] }), { kind: 'leaf', content: NO_CONTENT })
})

test('a file gives its children their offsets, after what it holds itself', () => {
  const file = decode({ type: 'file', data: Buffer.from('ab'), fileSize: 12, blockSizes: [3, 7] }, [{}, { cid: NODE }])
  assert.deepEqual(file, {
    kind: 'file',
    bytes: 12,
    content: Uint8Array.from(Buffer.from('ab')),
    children: [
      { cid: LEAF, offset: 2, bytes: 3 },
      { cid: NODE, offset: 5, bytes: 7 },
    ],
  })
})

test('folders and symlinks, with mode and mtime', () => {
  const mtime = { seconds: -5, nanoseconds: 7 }
  assert.deepEqual(decode({ type: 'directory', blockSizes: [], mode: 0o100755, mtime }, [{ name: 'a', tsize: 9 }]), {
    kind: 'directory',
    entries: [{ name: 'a', cid: LEAF, tsize: 9 }],
    metadata: { mode: 0o755, mtime },
  })
  assert.deepEqual(decode({ type: 'symlink', data: Buffer.from('../ä'), blockSizes: [] }), {
    kind: 'symlink',
    target: '../ä',
  })
})

test('entry names keep a byte order mark', () => {
  const node = decode({ type: 'directory', blockSizes: [] }, [{ name: '\ufeffa' }])
  assert.equal(node.kind === 'directory' && node.entries[0]?.name, '\ufeffa')
})

test('names that are not UTF-8 are told apart, and from all that are', () => {
  const link = (...name: number[]) => field(2, Buffer.concat([field(1, LEAF.bytes), field(2, Uint8Array.from(name))]))
  const data = field(1, encodeUnixfs({ type: 'directory', blockSizes: [] }))
  const node = decodeNode(NODE, Buffer.concat([link(0x61, 0xe4), link(0x61, 0xe5), data]))
  assert.deepEqual(node.kind === 'directory' && node.entries.map(({ name }) => name), ['a\udce4', 'a\udce5'])
  const symlink = decode({ type: 'symlink', data: Uint8Array.of(0xff), blockSizes: [] })
  assert.equal(symlink.kind === 'symlink' && symlink.target, '\udcff')
})

test('a shard gives its entries without their buckets, and its sub-shards', () => {
  assert.deepEqual(shard({ data: Uint8Array.of(0b1000_0000, 0b0000_0001) }, ['00name', '0F']), {
    kind: 'shard',
    fanout: 256,
    entries: [{ name: 'name', cid: LEAF, tsize: 0 }],
    entryBuckets: [0],
    subShards: [LEAF],
    subShardBuckets: [15],
  })
  assert.equal(shard({}, []).kind, 'shard')
  assert.equal(shard({ fanout: 8, data: Uint8Array.of(0b1000_0000) }, ['7x']).kind, 'shard')
  assert.equal(shard({ fanout: 1024, data: Uint8Array.of(1, 0) }, ['008x']).kind, 'shard')
})

test('files whose sizes do not add up are refused', () => {
  assertRefused(() => decode({ type: 'file', fileSize: 3, blockSizes: [3] }, []), /1 block sizes for 0 links/)
  assertRefused(() => decode({ type: 'file', fileSize: 3, blockSizes: [3] }, [{}, {}]), /1 block sizes for 2 links/)
  assertRefused(() => decode({ type: 'file', fileSize: 4, blockSizes: [3] }, [{}]), /4 bytes .* add up to 3/)
  assertRefused(() => decode({ type: 'file', fileSize: 4, data: Uint8Array.of(1), blockSizes: [] }), /4 bytes/)
  const half = 2 ** 52
  assertRefused(() => decode({ type: 'file', blockSizes: [half, half] }, [{}, {}]), /2\^53/)
})

test('bad HAMT shards are refused', () => {
  const bit0 = Uint8Array.of(1)
  assertRefused(() => shard({ data: bit0, hashType: 0x12 }, ['00a']), /hash function/)
  assertRefused(() => shard({ data: bit0, hashType: undefined }, ['00a']), /hash function/)
  for (const fanout of [undefined, 0, 1, 4, 12, 24, 255, 2048, 2 ** 40]) {
    assertRefused(() => shard({ data: bit0, fanout }, ['00a']), /fanout/)
  }
  assertRefused(() => shard({ data: bit0 }, []), /1 buckets with 0 links/)
  assertRefused(() => shard({ data: bit0 }, ['00a', '01b']), /1 buckets with 2 links/)
  assertRefused(() => shard({}, ['00a']), /0 buckets with 1 links/)
  assertRefused(() => shard({ data: new Uint8Array(33).fill(0) }, []), /wider than its fanout/)
  assertRefused(() => shard({ data: bit0 }, ['01a']), /bucket 00/)
  assertRefused(() => shard({ data: bit0 }, ['0']), /bucket 00/)
  assertRefused(() => shard({ data: bit0 }, ['']), /bucket 00/)
  assertRefused(() => shard({ data: bit0, fanout: 1024 }, ['00a']), /bucket 000/)
  assertRefused(() => shard({ data: Uint8Array.of(0b100, 0) }, ['0aname']), /bucket 0A/)
})

test('what is not UnixFS is refused', () => {
  assertRefused(() => decode(undefined), /without UnixFS data/)
  assertRefused(() => decode({ type: 'metadata', blockSizes: [] }), /metadata/)
  assertRefused(() => decode({ type: 'symlink', data: Buffer.from('a'), blockSizes: [] }, [{}]), /links of its own/)
  const longTarget = (bytes: number) => decode({ type: 'symlink', data: Buffer.alloc(bytes, 'a'), blockSizes: [] })
  assert.equal(longTarget(4095).kind, 'symlink')
  assertRefused(() => longTarget(4096), /above 4095 bytes/)
})

test('a block of another codec is taken as it is', () => {
  const content = Uint8Array.of(0xa0)
  assert.deepEqual(decodeNode(CID.createV1(0x71, NODE.multihash), content), { kind: 'opaque', content })
})

test('a part of a file or of a folder whose CID could not be checked is refused', () => {
  const md5 = CID.createV1(RAW, Digest.create(0xd5, new Uint8Array(16)))
  assertRefused(() => decode({ type: 'file', blockSizes: [1] }, [{ cid: md5 }]), /hash function 0xd5/)
  const shardData: UnixfsData = {
    type: 'hamt-shard',
    hashType: 0x22,
    fanout: 256,
    data: Uint8Array.of(1),
    blockSizes: [],
  }
  assertRefused(() => decode(shardData, [{ name: '00', cid: md5 }]), /hash function 0xd5/)
  assert.equal(decode(shardData, [{ name: '00entry', cid: md5 }]).kind, 'shard')
})

test('malformed dag-pb is refused', () => {
  const data = field(1, encodeUnixfs({ type: 'directory', blockSizes: [] }))
  const hash = field(1, LEAF.bytes)
  const malformed = [
    // Data twice.
    Buffer.concat([data, data]),
    // Links on both sides of data.
    Buffer.concat([field(2, hash), data, field(2, hash)]),
    // An unknown field.
    Buffer.concat([data, field(3, hash)]),
    // A link without a hash.
    Buffer.concat([field(2, field(2, Buffer.from('name'))), data]),
    // A hash that is no CID.
    Buffer.concat([field(2, field(1, Uint8Array.of(1, 2))), data]),
    // The name before the hash.
    Buffer.concat([field(2, Buffer.concat([field(2, Buffer.from('n')), hash])), data]),
    // Cut.
    data.subarray(0, -1),
    // The wrong wire type.
    Uint8Array.of(8, 1),
  ]
  for (const bytes of malformed) assertRefused(() => decodeNode(NODE, bytes))
})

test('a node with too many links is refused before they are decoded', () => {
  const tiny = CID.createV1(RAW, Digest.create(0, NO_CONTENT))
  const link = field(2, field(1, tiny.bytes))
  const data = field(1, encodeUnixfs({ type: 'directory', blockSizes: [] }))
  const most = Buffer.concat([...Array<Uint8Array>(MAX_LINKS).fill(link), data])
  const node = decodeNode(NODE, most)
  assert.equal(node.kind === 'directory' && node.entries.length, MAX_LINKS)
  // What follows the last link that may be is not looked at: it is not even protobuf.
  assertRefused(
    () => decodeNode(NODE, Buffer.concat([most.subarray(0, -data.length), link, Uint8Array.of(0xff)])),
    /65536/,
  )
})
