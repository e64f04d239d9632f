import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { CID } from 'multiformats/cid'
import { DiskBlockStore } from '../../src/blockstore/disk-blockstore.ts'
import { FsBlockStore } from '../../src/blockstore/fs-blockstore.ts'
import { LocalBlockStore } from '../../src/blockstore/local-blockstore.ts'
import { References } from '../../src/blockstore/references.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { openDatabase } from '../../src/database/database.ts'
import { damaged } from '../support/blocks.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'
import { damageStored } from '../support/stored-blocks.ts'
import { makeTempDir } from '../support/temp.ts'
import { blockstoreSuite } from './suite.ts'

blockstoreSuite('MemoryBlockStore', async () => {
  const store = new MemoryBlockStore()
  const damage = async (cid: CID) => {
    store.blocks.set(blockKey(cid), damaged(store.blocks.get(blockKey(cid))!))
  }
  return { store, damage }
})

blockstoreSuite('FsBlockStore', async (t) => {
  const folder = await makeTempDir(t)
  return { store: await FsBlockStore.open(folder), damage: (cid) => damageStored(folder, [cid]) }
})

blockstoreSuite('DiskBlockStore', async (t) => {
  const { store, damage } = await openDiskStore(t)
  return { store, damage }
})

blockstoreSuite('LocalBlockStore', async (t: TestContext) => {
  const { store: blocks, damage, database } = await openDiskStore(t)
  const references = new References(database)
  cleanUpAfter(t, () => references.close())
  return { store: new LocalBlockStore(blocks, references), damage }
})

async function openDiskStore(t: TestContext) {
  const folder = await makeTempDir(t)
  const database = await openDatabase(join(folder, 'database'))
  cleanUpAfter(t, () => database.close())
  const blocks = join(folder, 'blocks')
  const store = await DiskBlockStore.open(blocks, database)
  cleanUpAfter(t, () => store.close())
  return { store, damage: (cid: CID) => damageStored(blocks, [cid]), database }
}
