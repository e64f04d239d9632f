import assert from 'node:assert/strict'
import { test } from 'node:test'
import { P2PError } from '../../src/common/errors.ts'
import { MiB } from '../../src/common/units.ts'
import { importSettings } from '../../src/unixfs/import-settings.ts'
import { importFile } from '../../src/unixfs/importer.ts'
import type { BlockSink, NodeRef } from '../../src/unixfs/node-writer.ts'
import { randomBytes } from '../support/bytes.ts'
import { exportWithLibrary } from '../support/library-exporter.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'
import { nodeWriter } from '../support/nodes.ts'
import { cidOfText } from '../support/vectors.ts'

const nowhere = { put: async () => {} }

/** Leaves and inner nodes into the same store. */
async function importInto(store: BlockSink, content: AsyncIterable<Uint8Array>): Promise<NodeRef> {
  return await importFile(content, nodeWriter(store), importSettings(), ({ cid, block }) => store.put(cid, block))
}

async function* stream(pieces: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* pieces
}

test('how a stream is cut into pieces makes no difference, and it reads back whole', async () => {
  const content = randomBytes('importer', 3 * MiB + 17)
  const store = new MemoryBlockStore()
  const whole = await importInto(store, stream([content]))
  for (const pieceBytes of [65_536, MiB, MiB + 1]) {
    const pieces = []
    for (let at = 0; at < content.length; at += pieceBytes) pieces.push(content.subarray(at, at + pieceBytes))
    assert.deepEqual(await importInto(store, stream(pieces)), whole)
  }
  assert.deepEqual(await exportWithLibrary(whole.cid, store), new Map([['', content]]))
  const stored = [...store.blocks.values()].reduce((sum, block) => sum + block.length, 0)
  assert.equal(whole.tsize, stored)
})

test('content in pieces of the size of a chunk is not copied', async () => {
  const pieces = ['first', 'second', 'third'].map((seed) => randomBytes(seed, MiB))
  const leaves = new Set<ArrayBufferLike>()
  await importFile(stream(pieces), nodeWriter(nowhere), importSettings(), async ({ content }) => {
    leaves.add(content.buffer)
  })
  assert.deepEqual(leaves, new Set(pieces.map(({ buffer }) => buffer)))
})

test('every leaf comes with the place of its content in the file, and inner nodes without', async () => {
  const content = randomBytes('places', 5 * MiB + 17)
  const inner = new MemoryBlockStore()
  const leaves = new Map<number, Uint8Array>()
  await importFile(stream([content]), nodeWriter(inner), importSettings(), async ({ content: leaf, offset }) => {
    leaves.set(offset, leaf)
  })
  const offsets = [...leaves.keys()].sort((a, b) => a - b)
  assert.deepEqual(
    offsets,
    [0, 1, 2, 3, 4, 5].map((index) => index * MiB),
  )
  assert.deepEqual(Buffer.concat(offsets.map((offset) => leaves.get(offset)!)), Buffer.from(content))
  assert.equal(inner.blocks.size, 1)
})

test('no content at all is an empty file', async () => {
  const { cid, tsize } = await importInto(nowhere, stream([]))
  assert.equal(cid.toString(), cidOfText(''))
  assert.equal(tsize, 0)
})

test('a store that fails ends the import with its error, and the content is closed', async () => {
  const failure = new P2PError('disk-full', 'full')
  let closed = false
  const content = async function* () {
    try {
      for (;;) yield Buffer.alloc(MiB)
    } finally {
      closed = true
    }
  }
  const full = {
    put: async () => {
      throw failure
    },
  }
  await assert.rejects(importInto(full, content()), failure)
  assert.ok(closed)
})

test('content that fails ends the import with its error', async () => {
  const failure = new P2PError('io', 'unreadable')
  const content = async function* () {
    yield Buffer.alloc(MiB)
    throw failure
  }
  await assert.rejects(importInto(nowhere, content()), failure)
})
