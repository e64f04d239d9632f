import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { encode, prepare } from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import { hasCode } from '../../src/common/errors.ts'
import { MiB } from '../../src/common/units.ts'
import type { Block } from '../../src/dag/block.ts'
import { DAG_CBOR, RAW } from '../../src/dag/cid.ts'
import { decodeNode } from '../../src/unixfs/decode.ts'
import { contentBytes, listFolder } from '../../src/unixfs/list.ts'
import { surveyTree } from '../../src/unixfs/survey.ts'
import { dagPbBlock, identityCid, numberedBlock, rawBlock } from '../support/blocks.ts'
import { folderBlock, shardBlock, symlinkBlock } from '../support/hostile-trees.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'

/** Reads blocks that it has been given. */
function reading(...blocks: Block[]) {
  const store = new MemoryBlockStore()
  const asked: CID[] = []
  const readNode = async (cid: CID): Promise<Uint8Array> => {
    asked.push(cid)
    const bytes = await store.get(cid)
    assert.ok(bytes !== undefined, `${cid} is not there`)
    return bytes
  }
  const ready = Promise.all(blocks.map(({ cid, bytes }) => store.put(cid, bytes)))
  return { readNode, asked, ready }
}

async function listed(root: Block, blocks: Block[], recursive: boolean) {
  const { readNode, asked, ready } = reading(...blocks)
  await ready
  const node = decodeNode(root.cid, root.bytes)
  assert.ok(node.kind === 'directory' || node.kind === 'shard')
  const entries: [string, string | undefined][] = []
  for await (const { path, description } of listFolder(node, { readNode, describe: true, recursive })) {
    entries.push([path.join('/'), description?.type])
  }
  return { entries, asked }
}

const leaf = numberedBlock(1, 100)
const opaque: Block = {
  cid: CID.createV1(DAG_CBOR, rawBlock(Buffer.from('cbor')).cid.multihash),
  bytes: Buffer.from('cbor'),
}
const plainNode = dagPbBlock(encode(prepare({ Links: [{ Name: 'x', Hash: leaf.cid, Tsize: 1 }] })))
const broken = dagPbBlock(folderBlock([['a', leaf]]).bytes.subarray(0, 20))
const inline: Block = { cid: identityCid(Buffer.from('inline')), bytes: Buffer.from('inline') }

test('what is in a folder is named, whatever it is, and raw leaves are not read for it', async () => {
  const sub = folderBlock([
    ['..', leaf],
    ['a\nb', leaf],
  ])
  const link = symlinkBlock('/etc/passwd')
  const root = folderBlock([
    ['broken', broken],
    ['inline', inline],
    ['leaf', leaf],
    ['link', link],
    ['opaque', opaque],
    ['plain', plainNode],
    ['sub', sub],
  ])
  const { entries, asked } = await listed(root, [opaque, plainNode, broken, link, sub], true)
  assert.deepEqual(entries, [
    ['broken', 'malformed'],
    ['inline', 'file'],
    ['leaf', 'file'],
    ['link', 'symlink'],
    ['opaque', 'opaque'],
    ['plain', 'dag-pb'],
    ['sub', 'folder'],
    ['sub/..', 'file'],
    ['sub/a\nb', 'file'],
  ])
  assert.ok(asked.every(({ code }) => code !== RAW))
})

test('a sharded folder that is no tree of shards, or deeper than hashes reach, is refused', async () => {
  const wrong = shardBlock(new Map([[3, ['', leaf]]]))
  await assert.rejects(listed(wrong, [leaf], false), (error) => hasCode(error, 'bad-data'))
  let shard = shardBlock(new Map([[1, ['name', leaf]]]))
  const shards = [shard]
  // Of 64 bits, each level takes three.
  for (let level = 0; level < 21; level++) {
    shard = shardBlock(new Map([[2, ['', shard]]]))
    shards.push(shard)
  }
  assert.deepEqual((await listed(shards[20]!, shards, false)).entries, [['name', 'file']])
  await assert.rejects(listed(shard, shards, false), (error) => hasCode(error, 'bad-data'))
})

test('a tree that is too deep is refused, and the content of a tree is added up', async () => {
  let folder = folderBlock([
    ['one', leaf],
    ['two', leaf],
    ['link', symlinkBlock('one')],
  ])
  const folders = [folder, symlinkBlock('one')]
  const { readNode, ready } = reading(...folders)
  await ready
  assert.equal(await contentBytes(folder.cid, readNode), 200)
  for (let level = 0; level < 300; level++) {
    folder = folderBlock([['down', folder]])
    folders.push(folder)
  }
  await assert.rejects(listed(folder, folders, true), (error) => hasCode(error, 'bad-data'))
})

test('a survey ends where there is more than anyone waits for, and says so', async () => {
  // 2^40 folders, made of 41 blocks.
  let folder = folderBlock([['leaf', leaf]])
  const folders = [folder]
  for (let level = 0; level < 40; level++) {
    folder = folderBlock([
      ['left', folder],
      ['right', folder],
    ])
    folders.push(folder)
  }
  const { readNode, asked, ready } = reading(...folders)
  await ready
  const survey = await surveyTree(folder.cid, readNode)
  assert.deepEqual(
    { isComplete: survey.isComplete, blocks: survey.blocks.size, depth: survey.depth },
    { isComplete: false, blocks: 42, depth: 42 },
  )
  assert.ok(asked.length <= 4096, `${asked.length} nodes`)
})

test('the content of a tree is added up, and its shards listed, in as many steps as it has blocks', async () => {
  // 40^10 folders and 7^10 shards, made of 11 blocks each.
  let folder = folderBlock([['leaf', leaf]])
  let shard = shardBlock(new Map())
  const blocks = [folder, shard]
  for (let level = 0; level < 10; level++) {
    const [below, part] = [folder, shard]
    folder = folderBlock(Array.from({ length: 40 }, (_, index) => [`${index}`, below]))
    shard = shardBlock(new Map(Array.from({ length: 7 }, (_, bucket) => [bucket + 1, ['', part]])))
    blocks.push(folder, shard)
  }
  const { readNode, asked, ready } = reading(...blocks)
  await ready
  assert.equal(await contentBytes(folder.cid, readNode), Number.MAX_SAFE_INTEGER)
  assert.equal(await contentBytes(blocks[4]!.cid, readNode), 40 * 40 * leaf.bytes.byteLength)
  assert.ok(asked.length < 1000, `${asked.length} nodes`)
  assert.equal(await contentBytes(shard.cid, readNode), 0)
  assert.deepEqual((await listed(shard, blocks, false)).entries, [])
})

test('what waits in a survey is bounded, however often its nodes are named', async () => {
  // Of each level, a few are read at a time, which have 4,000 more of the next.
  let folder = folderBlock([['leaf', leaf]])
  const bottom = folder
  const folders = [folder]
  for (let level = 0; level < 8; level++) {
    const below = folder
    folder = folderBlock(Array.from({ length: 4000 }, (_, index) => [`${index}`, below]))
    folders.push(folder)
  }
  const { readNode, ready } = reading(...folders)
  await ready
  const before = usedHeapBytes()
  let used = 0
  const stopped = surveyTree(folder.cid, async (cid) => {
    if (!cid.equals(bottom.cid)) return await readNode(cid)
    used ||= usedHeapBytes()
    throw new Error('far enough')
  })
  await assert.rejects(stopped, /far enough/)
  assert.ok(used - before < 64 * MiB, `${used - before} bytes`)
})

/** After all that can go has gone. */
function usedHeapBytes(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}
