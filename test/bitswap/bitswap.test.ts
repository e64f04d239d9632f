/** Two real nodes with the service in libp2p. */

import '../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Bitswap, bitswap } from '../../src/bitswap/bitswap.ts'
import { createHost, type Host } from '../../src/net/host.ts'
import { randomBlock } from '../support/blocks.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'

interface BitswapNode {
  host: Host<{ bitswap: Bitswap }>
  store: MemoryBlockStore
}

async function startNode(t: TestContext): Promise<BitswapNode> {
  const store = new MemoryBlockStore()
  const host = await createHost({
    privateKey: await generateKeyPair('Ed25519'),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    services: { bitswap: bitswap({ blockstore: store, pathOf: () => 'loopback' }) },
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
