/** Peers that take more than their share of a real `p2p serve`: it stays up, serves others, and holds little for them. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { formatBytes, MiB } from '../../src/common/units.ts'
import type { Block } from '../../src/dag/block.ts'
import { frame, wantBlocks } from '../support/bitswap-frames.ts'
import { numberedBlock, randomBlock } from '../support/blocks.ts'
import { type GreedyPeer, startGreedyPeer } from '../support/greedy-peer.ts'
import { noPeakMemory, peakBytesOf } from '../support/peak-memory.ts'
import { getJson, startServe } from '../support/processes.ts'
import { makeRepoOf } from '../support/stored-blocks.ts'
import { makeTempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'

const BLOCKS = 32
/** Some for what is allowed to lie in buffers, and some for a garbage collector that takes its time. */
const MAX_GROWTH_BYTES = 128 * MiB
const MAX_MESSAGE_BYTES = 4 * MiB

interface Server {
  blocks: Block[]
  connect(): Promise<GreedyPeer>
  /** Gets a block as an honest node. @throws AssertionError if it does not come */
  getBlock(index: number): Promise<void>
  /** An honest node still gets what it asks for, the memory has not grown beyond its bounds, and the server ends well. */
  assertWell(maxGrowthBytes?: number): Promise<void>
}

async function startServer(t: TestContext): Promise<Server> {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'seeder')
  const blocks = Array.from({ length: BLOCKS }, (_, index) => randomBlock(`block ${index}`, MiB))
  await makeRepoOf(repo, blocks)
  const { process: serve, multiaddr, stop } = await startServe(t, repo)
  const getBlock = async (index: number) => {
    const args = [blocks[index]!.cid.toString(), '-o', join(folder, `block-${index}`), '--peer', multiaddr]
    await getJson(args, { repo: join(folder, 'receiver') })
  }
  await getBlock(0)
  const peakBefore = noPeakMemory ? 0 : peakBytesOf(serve.pid)
  return {
    blocks,
    connect: () => startGreedyPeer(t, multiaddr),
    getBlock,
    assertWell: async (maxGrowthBytes = MAX_GROWTH_BYTES) => {
      await getBlock(1)
      const growth = noPeakMemory ? 0 : peakBytesOf(serve.pid) - peakBefore
      assert.ok(growth < maxGrowthBytes, `memory grew by ${formatBytes(growth)}`)
      await stop()
    },
  }
}

test('peers that want everything and read nothing are given up, and others are served', async (t) => {
  const server = await startServer(t)
  // What they want would fill twice the memory that the server may take for it.
  const peers = await Promise.all(Array.from({ length: 8 }, () => server.connect()))
  for (const peer of peers) (await peer.openStream()).send(frame(wantBlocks(server.blocks.map(({ cid }) => cid))))
  await until(t, () => peers.every(({ replies }) => replies.length > 0))
  await server.getBlock(2)
  await until(t, () => peers.every(({ replies }) => replies[0]?.status === 'reset'))
  await server.assertWell()
})

test('a peer that opens streams as fast as it can is refused most of them', async (t) => {
  const server = await startServer(t)
  const peer = await server.connect()
  const streams = await Promise.allSettled(Array.from({ length: 500 }, () => peer.openStream()))
  const refused = streams.filter(({ status }) => status === 'rejected').length
  assert.ok(refused > 250, `${refused} of 500 streams were refused`)
  await server.assertWell()
})

test('100 MiB of wants', async (t) => {
  const server = await startServer(t)
  const stream = await (await server.connect()).openStream()
  const cids = Array.from({ length: 90_000 }, (_, index) => numberedBlock(index).cid)
  const message = frame(wantBlocks(cids))
  for (let sentBytes = 0; sentBytes < 100 * MiB; sentBytes += message.byteLength) {
    if (!stream.send(message)) await stream.onDrain()
  }
  await server.assertWell()
})

test('peers that begin messages and never finish them', async (t) => {
  const server = await startServer(t)
  const unfinished = frame(new Uint8Array(MAX_MESSAGE_BYTES)).subarray(0, MAX_MESSAGE_BYTES)
  const sentBytes = 3 * 48 * MAX_MESSAGE_BYTES
  for (let peers = 0; peers < 3; peers++) {
    const peer = await server.connect()
    const streams = await Promise.all(Array.from({ length: 48 }, () => peer.openStream()))
    for (const stream of streams) stream.send(unfinished)
    await until(t, () => streams.some(({ status }) => status === 'reset'))
  }
  // What was given up still has to be collected.
  await server.assertWell((2 / 3) * sentBytes)
})
