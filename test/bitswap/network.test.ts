import '../../src/common/node20.ts'
import assert from 'node:assert/strict'
import test from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { bitswap } from '../../src/bitswap/bitswap.ts'
import { decodeMessage, encodeWants, MessageSplitter, WANT_BLOCK } from '../../src/bitswap/message.ts'
import { pathOf } from '../../src/net/addresses.ts'
import { createHost } from '../../src/net/host.ts'
import { numberedBlock } from '../support/blocks.ts'
import { type CleanUpScope, cleanUpAfter } from '../support/clean-up.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'

const BITSWAP_PROTOCOL = '/ipfs/bitswap/1.2.0'

async function startSeeder(scope: CleanUpScope, blockstore: MemoryBlockStore): Promise<string> {
  const host = await createHost({
    privateKey: await generateKeyPair('Ed25519'),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    services: { bitswap: bitswap({ blockstore, pathOf }) },
  })
  cleanUpAfter(scope, () => host.stop())
  await host.start()
  return host.multiaddrs()[0] ?? ''
}

/** A node that shares no code with the exchange under test. */
async function startClient(scope: CleanUpScope) {
  const client = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [tls()],
    streamMuxers: [yamux()],
  })
  cleanUpAfter(scope, () => client.stop())
  return client
}

test('the stream for replies is opened when a peer opens one, before it asks', async (t) => {
  const store = new MemoryBlockStore()
  const block = numberedBlock(1, 5000)
  await store.put(block.cid, block.bytes)
  const seeder = await startSeeder(t, store)
  const client = await startClient(t)
  const replies = new Promise<Stream>((resolve) => {
    void client.handle(BITSWAP_PROTOCOL, (stream) => resolve(stream))
  })
  const wants = await client.dialProtocol(multiaddr(seeder), BITSWAP_PROTOCOL)
  const stream = await replies

  const message = new Promise<Uint8Array>((resolve) => {
    const splitter = new MessageSplitter()
    stream.addEventListener('message', ({ data }) => splitter.push(data.subarray(), resolve))
  })
  const want = { cid: block.cid, cancel: false, wantType: WANT_BLOCK, priority: 1, sendDontHave: true } as const
  wants.send(encodeWants([want]))
  const { blocks } = decodeMessage(await message)
  assert.deepEqual(Buffer.from(blocks[0]!.bytes), block.bytes)
})
