/** Two real nodes with the service in libp2p. */

import '../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromString } from '@libp2p/peer-id'
import type { CID } from 'multiformats/cid'
import { type Bitswap, bitswap } from '../../src/bitswap/bitswap.ts'
import type { ReadOptions } from '../../src/blockstore/blockstore.ts'
import { BufferPool } from '../../src/common/buffer-pool.ts'
import { MiB } from '../../src/common/units.ts'
import { createHost, type Host } from '../../src/net/host.ts'
import { randomBlock } from '../support/blocks.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'

interface BitswapNode {
  host: Host<{ bitswap: Bitswap }>
  store: MemoryBlockStore
}

async function startNode(t: TestContext, store = new MemoryBlockStore()): Promise<BitswapNode> {
  const buffers = new BufferPool(16 * MiB)
  const host = await createHost({
    privateKey: await generateKeyPair('Ed25519'),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    onWritten: (bytes) => buffers.give(bytes),
    services: { bitswap: bitswap({ blockstore: store, buffers, pathOf: () => 'loopback' }) },
  })
  cleanUpAfter(t, () => host.stop())
  await host.start()
  return { host, store }
}

test('a session goes on over a new connection, with wants and with replies', { timeout: 60_000 }, async (t) => {
  const server = await startNode(t)
  const client = await startNode(t)
  const blocks = ['one', 'two', 'three'].map((seed) => randomBlock(seed, 100_000))
  for (const { cid, bytes } of blocks) await server.store.put(cid, bytes)
  const session = client.host.libp2p.services.bitswap.openSession()
  cleanUpAfter(t, () => session.close())
  session.addSource({ peerId: server.host.peerId, multiaddrs: server.host.multiaddrs() })

  // Cut by the one side, then by the other.
  const cuts = [
    () => {},
    () => client.host.libp2p.hangUp(peerIdFromString(server.host.peerId)),
    () => server.host.libp2p.hangUp(peerIdFromString(client.host.peerId)),
  ]
  for (const [index, cut] of cuts.entries()) {
    await cut()
    const { cid, bytes } = blocks[index]!
    assert.deepEqual(Buffer.from(await session.fetch(cid)), Buffer.from(bytes))
  }
})

/** Reads blocks as from a disk: into memory that the caller gives. */
class ReadingStore extends MemoryBlockStore {
  readonly readInto = new Set<ArrayBufferLike>()

  override async get(cid: CID, options?: ReadOptions): Promise<Uint8Array | undefined> {
    const bytes = await super.get(cid, options)
    const memory = bytes && options?.allocate?.(bytes.byteLength)
    if (memory === undefined) return bytes
    memory.set(bytes!)
    this.readInto.add(memory.buffer)
    return memory
  }
}

test('blocks are read into memory that others were sent from, once those are on their way', {
  timeout: 60_000,
}, async (t) => {
  const store = new ReadingStore()
  const server = await startNode(t, store)
  const client = await startNode(t)
  const blocks = Array.from({ length: 24 }, (_, i) => randomBlock(`block ${i}`, MiB))
  for (const { cid, bytes } of blocks) await store.put(cid, bytes)
  const session = client.host.libp2p.services.bitswap.openSession()
  cleanUpAfter(t, () => session.close())
  session.addSource({ peerId: server.host.peerId, multiaddrs: server.host.multiaddrs() })

  const fetched = await Promise.all(blocks.map(({ cid }) => session.fetch(cid)))
  for (const [index, { bytes }] of blocks.entries()) assert.ok(Buffer.from(bytes).equals(fetched[index]!))
  assert.ok(store.readInto.size < blocks.length / 2, `read into ${store.readInto.size} buffers`)
})
