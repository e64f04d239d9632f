import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blockKey, parseCid, rawCid } from '../../src/dag/cid.ts'
import { decodeNode } from '../../src/unixfs/decode.ts'
import type { DirectoryEntry } from '../../src/unixfs/directory-entry.ts'
import { rawBlock } from '../support/blocks.ts'
import { exportWithLibrary } from '../support/library-exporter.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'
import { buildDirectory, buildShards, buildSymlink } from '../support/nodes.ts'
import { cidOfText } from '../support/vectors.ts'

function fileEntry(name: string, content: string, store: MemoryBlockStore): DirectoryEntry {
  const { cid, bytes } = rawBlock(Buffer.from(content))
  store.blocks.set(blockKey(cid), bytes)
  return { name, cid, tsize: bytes.length }
}

test('a forced HAMT reads back whole', async () => {
  const store = new MemoryBlockStore()
  const numbers = Array.from({ length: 2000 }, (_, index) => index + 1)
  const entries = numbers.map((number) => fileEntry(`file${number}`, `${number}\n`, store))
  const { cid } = await buildShards(entries, store)
  const found = await exportWithLibrary(cid, store)
  for (const number of numbers) assert.equal(found.get(`file${number}`)?.toString(), `${number}\n`)
  assert.equal(found.size, numbers.length + 1)
})

test('entries are ordered by the bytes of their names, however they come', async () => {
  const store = new MemoryBlockStore()
  const names = ['\u{1f600}', '\uffee', 'b', 'a', 'ab', 'Z', '\ufeffbom', ' ', '.hidden']
  const entries = names.map((name) => fileEntry(name, name, store))
  const { cid, tsize } = await buildDirectory(entries, store)
  assert.deepEqual(await buildDirectory(entries.toReversed(), store), { cid, tsize })
  const bytes = (await store.get(cid))!
  const node = decodeNode(cid, bytes)
  assert.ok(node.kind === 'directory')
  assert.deepEqual(
    node.entries.map(({ name }) => name),
    names.toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))),
  )
  assert.equal(tsize, bytes.length + entries.reduce((sum, entry) => sum + entry.tsize, 0))
})

test('a folder of folders is sharded by the size of its block too', async () => {
  const store = new MemoryBlockStore()
  const empty = await buildDirectory([], store)
  const entries = Array.from({ length: 7000 }, (_, index) => ({ name: `folder${index}`, ...empty }))
  const { cid } = await buildDirectory(entries, store)
  assert.equal(decodeNode(cid, (await store.get(cid))!).kind, 'shard')
})

test('a symlink is its target in nine bytes and more', async () => {
  const store = new MemoryBlockStore()
  const { cid, tsize } = await buildSymlink('foo', store)
  const bytes = (await store.get(cid))!
  assert.equal(Buffer.from(bytes).toString('hex'), '0a0708041203666f6f')
  assert.equal(tsize, 9)
  assert.deepEqual(decodeNode(cid, bytes), { kind: 'symlink', target: 'foo' })
})

test('two names with one hash are refused, not looped over', async () => {
  const entry = { name: 'same', cid: rawCid(parseCid(cidOfText('hello world')).multihash), tsize: 1 }
  await assert.rejects(buildShards([entry, entry], new MemoryBlockStore()), { code: 'limit' })
})
