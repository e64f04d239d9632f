import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { P2PError } from '../../src/common/errors.ts'
import type { BlockReader } from '../../src/dag/block.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { resolvePath } from '../../src/unixfs/path.ts'
import { bucketAt, bucketPrefix, hashName } from '../../src/unixfs/shard.ts'
import { rawBlock } from '../support/blocks.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'
import { buildDirectory, buildShards, buildSymlink, saveNode } from '../support/nodes.ts'

class CountingReader implements BlockReader {
  readonly #store: MemoryBlockStore
  fetched = 0

  constructor(store: MemoryBlockStore) {
    this.#store = store
  }

  async fetch(cid: CID): Promise<Uint8Array> {
    this.fetched++
    const bytes = await this.#store.get(cid)
    if (bytes === undefined) throw new P2PError('not-found', `no block ${cid}`)
    return bytes
  }
}

async function tree() {
  const store = new MemoryBlockStore()
  const leaf = rawBlock(Buffer.from('leaf'))
  store.blocks.set(blockKey(leaf.cid), leaf.bytes)
  const file = { cid: leaf.cid, tsize: 4 }
  const inner = await buildDirectory([{ name: 'Notes.txt', ...file }], store)
  const names = Array.from({ length: 600 }, (_, index) => `entry-${index}`)
  const many = await buildShards([...names.map((name) => ({ name, ...file })), { name: 'folder', ...inner }], store)
  const link = await buildSymlink('inner', store)
  const root = await buildDirectory(
    [
      { name: 'inner', ...inner },
      { name: 'many', ...many },
      { name: 'link', ...link },
      { name: 'file', ...file },
    ],
    store,
  )
  return { store, reader: new CountingReader(store), root: root.cid, leaf: leaf.cid, inner: inner.cid, many: many.cid }
}

test('paths lead through plain and sharded folders', async () => {
  const { reader, root, leaf, inner } = await tree()
  assert.ok((await resolvePath(root, [], reader)).equals(root))
  assert.equal(reader.fetched, 0)
  assert.ok((await resolvePath(root, ['inner'], reader)).equals(inner))
  assert.ok((await resolvePath(root, ['inner', 'Notes.txt'], reader)).equals(leaf))
  assert.ok((await resolvePath(root, ['many', 'folder', 'Notes.txt'], reader)).equals(leaf))
})

test('every entry of a sharded folder is found, by way of few shards', async () => {
  const { reader, many, leaf } = await tree()
  for (let index = 0; index < 600; index++) {
    reader.fetched = 0
    assert.ok((await resolvePath(many, [`entry-${index}`], reader)).equals(leaf))
    assert.ok(reader.fetched <= 4, `${reader.fetched} blocks`)
  }
})

test('what is not there is not found, with a guess at what was meant', async () => {
  const { reader, root } = await tree()
  const missing = (hint: string | undefined) => (error: unknown) => {
    assert.ok(error instanceof P2PError)
    assert.equal(error.code, 'not-found')
    assert.equal(error.hint, hint)
    return true
  }
  await assert.rejects(resolvePath(root, ['inner', 'notes.text'], reader), missing('Did you mean "Notes.txt"?'))
  await assert.rejects(resolvePath(root, ['inner', 'NOTES.TXT'], reader), missing('Did you mean "Notes.txt"?'))
  await assert.rejects(resolvePath(root, ['fiel'], reader), missing('Did you mean "file"?'))
  await assert.rejects(resolvePath(root, ['inner', 'other'], reader), missing(undefined))
  await assert.rejects(resolvePath(root, ['inner', ''], reader), missing(undefined))
  await assert.rejects(resolvePath(root, ['many', 'entry-600'], reader), missing(undefined))
  await assert.rejects(resolvePath(root, ['many', 'nothing'], reader), /"nothing" in .*\/many/)
})

test('a file or symlink in the middle of a path is bad data', async () => {
  const { reader, root } = await tree()
  await assert.rejects(resolvePath(root, ['file', 'a'], reader), { code: 'not-found', message: /\/file is a file/ })
  await assert.rejects(resolvePath(root, ['link', 'a'], reader), { code: 'not-found', message: /\/link is a symlink/ })
  const endless = Array<string>(257).fill('a')
  await assert.rejects(resolvePath(root, endless, reader), { code: 'bad-ref' })
})

test('a sub-shard that is not one of the same folder is bad data', async () => {
  const { store, reader, inner } = await tree()
  const bucket = bucketAt(hashName('wanted'), 0, 8)!
  const narrow = {
    type: 'hamt-shard',
    hashType: 0x22,
    fanout: 8,
    data: Uint8Array.of(1 << bucket),
    blockSizes: [],
  } as const
  for (const below of [{ cid: inner, tsize: 0 }, await buildShards([{ name: 'a', cid: inner, tsize: 0 }], store)]) {
    const root = await saveNode({ ...narrow, blockSizes: [] }, [{ ...below, name: bucketPrefix(bucket, 8) }], store)
    await assert.rejects(resolvePath(root.cid, ['wanted'], reader), { code: 'bad-data', message: /not a shard of it/ })
  }
})

test('a HAMT that goes on below the last bit of the hash ends', async () => {
  const store = new MemoryBlockStore()
  let below = await buildDirectory([], store)
  for (let depth = 8; depth >= 0; depth--) {
    const bucket = bucketAt(hashName('wanted'), Math.min(depth, 7), 256)!
    const bitfield = new Uint8Array(32)
    bitfield[31 - (bucket >> 3)] = 1 << (bucket & 7)
    const unixfs = {
      type: 'hamt-shard',
      hashType: 0x22,
      fanout: 256,
      data: bitfield,
      blockSizes: [] as number[],
    } as const
    below = await saveNode(unixfs, [{ ...below, name: bucketPrefix(bucket, 256) }], store)
  }
  const reader = new CountingReader(store)
  await assert.rejects(resolvePath(below.cid, ['wanted'], reader), { code: 'not-found' })
  assert.equal(reader.fetched, 9)
})
