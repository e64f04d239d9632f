/**
 * Pinning what is in the store already. Whoever put it may have ended before its barrier, so that a power cut leaves
 * zeros in its place, or would: each block is read and put again.
 */

import '../../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../../src/blockstore/blockstore.ts'
import { carHeader, sectionHeader } from '../../../src/car/write.ts'
import { systemClock } from '../../../src/common/clock.ts'
import { hasCode, P2PError } from '../../../src/common/errors.ts'
import { KeyedLock } from '../../../src/common/keyed-lock.ts'
import { KiB } from '../../../src/common/units.ts'
import type { Block } from '../../../src/dag/block.ts'
import { carImport } from '../../../src/node/operations/car-import.ts'
import { getRef, pinRef } from '../../../src/node/operations/get.ts'
import { type KeptRepo, makeKeptRepo } from '../../pin/kept-repo.ts'
import { randomBlock } from '../../support/blocks.ts'
import { buildDirectory } from '../../support/nodes.ts'
import { storedBlocks } from '../../support/stored-blocks.ts'

interface Site {
  repo: KeptRepo
  /** A folder that no pin has. */
  root: CID
  /** A block below it whose name `get` leaves out of its result. */
  leaf: CID
  /** Blocks that were put since. */
  put: Set<string>
  /** Writes, syncs and pins, in their order. */
  calls: string[]
  store: BlockStore
}

async function makeSite(t: TestContext): Promise<Site> {
  const repo = await makeKeptRepo(t)
  const [refused, other] = [randomBlock('refused', 100 * KiB), randomBlock('other', 20 * KiB)]
  for (const { cid, bytes } of [refused, other]) await repo.blocks.put(cid, bytes)
  const entryOf = (name: string, { cid, bytes }: Block) => ({ name, cid, tsize: bytes.byteLength })
  const { cid: root } = await buildDirectory([entryOf('..', refused), entryOf('other', other)], repo.blocks)
  const { store } = repo
  const put = new Set<string>()
  const calls: string[] = []
  const { pins } = repo
  const add = pins.add.bind(pins)
  pins.add = async (...call) => {
    calls.push('pin')
    await add(...call)
  }
  const noting: BlockStore = {
    has: (...call) => store.has(...call),
    size: (...call) => store.size(...call),
    get: (...call) => store.get(...call),
    put: async (cid, ...rest) => {
      put.add(cid.toString())
      calls.push('put')
      await store.put(cid, ...rest)
    },
    delete: (...call) => store.delete(...call),
    sync: async (...call) => {
      calls.push('sync')
      await store.sync(...call)
    },
    keys: (...call) => store.keys(...call),
  }
  return { repo, root, leaf: refused.cid, put, calls, store: noting }
}

function partsOf({ repo: { references, pins }, store }: Site) {
  const network = async () => {
    throw new P2PError('network', 'Everything is here')
  }
  return { store, references, pins, targets: new KeyedLock(), clock: systemClock, bootId: 'boot', network }
}

/** Each pins the root, or rejects. */
const WAYS: Record<string, (site: Site) => Promise<unknown>> = {
  'pin add': async (site) => await pinRef(partsOf(site), site.root.toString(), { offline: true }),
  'get --pin': async (site) => {
    const target = { kind: 'path', path: join(site.repo.folder, 'result') } as const
    await getRef(partsOf(site), site.root.toString(), { target, pin: true, offline: true })
  },
  'car import': async (site) => {
    const { root, repo } = site
    const block = (await repo.blocks.get(root))!
    const path = join(repo.folder, 'root.car')
    await writeFile(path, Buffer.concat([carHeader([root]), sectionHeader(root, block.byteLength), block]))
    const { roots } = await carImport(
      { ...partsOf(site), provider: () => undefined, collector: { relieve: async () => {} } },
      { path },
    )
    if (roots[0]!.problem !== null) throw new P2PError('not-found', roots[0]!.problem)
  },
}

for (const [name, pin] of Object.entries(WAYS)) {
  test(`${name} puts again what is here, so that its barrier covers it`, async (t) => {
    const site = await makeSite(t)
    await pin(site)
    assert.equal((await site.repo.pins.get(site.root))?.kind, 'recursive')
    assert.ok(site.put.has(site.leaf.toString()))
  })

  test(`${name} does not take zeros for a block`, async (t) => {
    const site = await makeSite(t)
    const [stored] = (await storedBlocks(join(site.repo.folder, 'blocks'))).filter(({ cid }) => cid.equals(site.leaf))
    const { path, offset, length } = stored!
    await writeFile(path, (await readFile(path)).fill(0, offset, offset + length))
    await assert.rejects(pin(site), (error) => hasCode(error, 'not-found'))
    assert.equal(await site.repo.pins.get(site.root), undefined)
  })
}

test('pin add of what is pinned already reads no leaf', async (t) => {
  const site = await makeSite(t)
  await WAYS['pin add']!(site)
  site.put.clear()
  await WAYS['pin add']!(site)
  assert.ok(!site.put.has(site.leaf.toString()))
})

for (const [way, pin] of Object.entries(WAYS)) {
  test(`${way} makes all that it has put durable before it pins the root`, async (t) => {
    const site = await makeSite(t)
    await pin(site)
    const lastPut = site.calls.lastIndexOf('put')
    const pinned = site.calls.indexOf('pin')
    assert.ok(lastPut !== -1 && site.calls.slice(lastPut, pinned).includes('sync'), site.calls.join())
  })
}
