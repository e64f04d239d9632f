/** Looking at content that others have: real nodes over loopback, in this process. */

import '../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { hasCode } from '../../src/common/errors.ts'
import { KiB, MiB } from '../../src/common/units.ts'
import { type Node, openNode } from '../../src/node/open.ts'
import { resolveLocation } from '../../src/repo/location.ts'
import { randomBlock } from '../support/blocks.ts'
import { randomBytes } from '../support/bytes.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'

async function startNode(t: TestContext, folder: string, name: string, role: 'server' | 'client'): Promise<Node> {
  const node = await openNode({
    location: resolveLocation({ repo: join(folder, name), env: {}, home: folder, cwd: folder }),
    command: 'p2p test',
    holdTimeoutMs: 10_000,
    listen: role === 'server' ? ['/ip4/127.0.0.1/tcp/0'] : [],
    bootstrap: [],
    role,
  })
  cleanUpAfter(t, () => node.close())
  if (role === 'server') await node.startNetwork()
  return node
}

test('what others have is listed, read and exported, and info says who has how much of it', async (t) => {
  const folder = await makeTempDir(t)
  const seeder = await startNode(t, folder, 'seeder', 'server')
  const partial = await startNode(t, folder, 'partial', 'server')
  const reader = await startNode(t, folder, 'reader', 'client')
  const tree = join(folder, 'tree')
  await mkdir(tree)
  const content = randomBytes('others', 6 * MiB)
  await writeFile(join(tree, 'file'), content)
  await writeFile(join(tree, 'small'), 'hello')
  const { roots } = await seeder.add([{ path: tree }])
  const cid = roots[0]?.cid ?? ''
  await partial.add([{ path: join(tree, 'small') }])
  const peers = [seeder, partial].map((node) => node.multiaddrs()[0] ?? '')
  const blocksOf = async (node: Node, ref: string) => (await node.run('info', { ref, offline: true })).here.blocks

  const names: string[] = []
  await reader.run('ls', { ref: cid, peers, long: true, onEvent: ({ path }) => void names.push(path) })
  assert.deepEqual(names, ['file', 'small'])
  assert.equal(await blocksOf(reader, cid), 2, 'the folder and the root of the file stay here')

  const { providers, here, blocks, kind } = await reader.run('info', { ref: cid, peers })
  assert.deepEqual({ here: here.blocks, blocks, kind }, { here: 2, blocks: 9, kind: 'folder' })
  assert.deepEqual(
    providers?.map(({ peerId, connected, path, sample }) => ({ peerId, connected, path, sample })),
    [
      { peerId: seeder.peerId, connected: true, path: 'loopback', sample: { have: 9, of: 9 } },
      { peerId: partial.peerId, connected: true, path: 'loopback', sample: { have: 1, of: 9 } },
    ],
  )

  const written: Uint8Array[] = []
  const write = async (bytes: Uint8Array) => void written.push(Uint8Array.from(bytes))
  await reader.run('cat', { ref: `${cid}/file`, offset: 2 * MiB - 10, length: 20, write, peers })
  assert.ok(Buffer.concat(written).equals(content.subarray(2 * MiB - 10, 2 * MiB + 10)))
  assert.equal(await blocksOf(reader, cid), 2, 'no content is kept')

  const output = join(folder, 'tree.car')
  assert.equal((await reader.run('car-export', { ref: cid, output, peers })).blocks, 9)
  assert.equal(await blocksOf(reader, cid), 2, 'no content is kept')
  assert.deepEqual((await partial.run('car-import', { path: output })).roots, [{ cid, pinned: true, problem: null }])
  assert.equal(await blocksOf(partial, cid), 9)
})

test('offline nobody is asked, also where a peer is named', async (t) => {
  const folder = await makeTempDir(t)
  const reader = await startNode(t, folder, 'reader', 'client')
  const ref = randomBlock('nowhere', 300 * KiB).cid.toString()
  const options = { ref, peers: [`/ip4/127.0.0.1/tcp/1/p2p/${await peerIdOf(reader)}`], offline: true }
  const write = async () => assert.fail('nothing can be written')
  const calls = [
    () => reader.run('ls', options),
    () => reader.run('info', options),
    () => reader.run('cat', { ...options, write }),
    () => reader.run('block-stat', options),
    () => reader.run('car-export', { ...options, write }),
    () => reader.run('dag-stat', { ...options, refs: [ref] }),
  ]
  for (const call of calls) await assert.rejects(call, (error) => hasCode(error, 'not-found'))
  assert.equal(reader.peerId, '', 'the network was started')
})

async function peerIdOf(node: Node): Promise<string> {
  return (await node.run('id', {})).peerId
}
