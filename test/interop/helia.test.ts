/** `p2p` and Helia, the implementation of IPFS in JavaScript: each fetches from the other, and CIDs are the same. */

import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import test from 'node:test'
import { noHelia, startHelia } from '../support/helia.ts'
import { addPaths, getJson, startServe } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'
import { assertSameContent, writeSamples } from './samples.ts'

test('p2p get fetches from Helia', { skip: noHelia }, async (t) => {
  const folder = await makeTempDir(t)
  const samples = await writeSamples(folder)
  const helia = await startHelia(t)
  const output = join(folder, 'output')
  await mkdir(output)
  for (const { name, path } of samples) {
    await t.test(name, async () => {
      const cid = await helia.add(path)
      const copy = join(output, basename(path))
      const repo = join(folder, 'receiver')
      const result = await getJson([cid, '-o', copy, '--peer', helia.multiaddr], { repo })
      assert.equal(result.cid, cid)
      await assertSameContent(copy, path)
    })
  }
})

test('Helia fetches from p2p serve by CIDs that it would give itself', { skip: noHelia }, async (t) => {
  const folder = await makeTempDir(t)
  const samples = await writeSamples(folder)
  const repo = join(folder, 'seeder')
  const cids = await addPaths(repo, ...samples.map(({ path }) => path))
  const serve = await startServe(t, repo)
  const receiver = await startHelia(t)
  const adder = await startHelia(t)
  const output = join(folder, 'output')
  await mkdir(output)
  for (const [index, { name, path }] of samples.entries()) {
    await t.test(name, async () => {
      const cid = cids[index] ?? ''
      assert.equal(cid, await adder.add(path))
      const copy = join(output, basename(path))
      await receiver.get(cid, serve.multiaddr, copy)
      await assertSameContent(copy, path)
    })
  }
})
