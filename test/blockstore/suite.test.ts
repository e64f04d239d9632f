import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { DiskBlockStore } from '../../src/blockstore/disk-blockstore.ts'
import { FsBlockStore } from '../../src/blockstore/fs-blockstore.ts'
import { LocalBlockStore } from '../../src/blockstore/local-blockstore.ts'
import { References } from '../../src/blockstore/references.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { openDatabase } from '../../src/database/database.ts'
import { damaged } from '../support/blocks.ts'
import { type CleanUpScope, cleanUpAfter } from '../support/clean-up.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'
import { damageStored } from '../support/stored-blocks.ts'
import { makeTempDir } from '../support/temp.ts'
import { interfaceSuite } from './interface-suite.ts'
import { blockstoreSuite, type StoreUnderTest } from './suite.ts'

const stores: Record<string, (scope: CleanUpScope) => Promise<StoreUnderTest>> = {
  MemoryBlockStore: async () => {
    const store = new MemoryBlockStore()
    const damage = async (cid: CID) => {
      store.blocks.set(blockKey(cid), damaged(store.blocks.get(blockKey(cid))!))
    }
    return { store, damage }
  },

  FsBlockStore: async (scope) => {
    const folder = await makeTempDir(scope)
    return { store: await FsBlockStore.open(folder), damage: (cid) => damageStored(folder, [cid]) }
  },

  DiskBlockStore: async (scope) => {
    const { store, damage } = await openDiskStore(scope)
    return { store, damage }
  },

  LocalBlockStore: async (scope) => {
    const { store: blocks, damage, database } = await openDiskStore(scope)
    const references = new References(database)
    cleanUpAfter(scope, () => references.close())
    return { store: new LocalBlockStore(blocks, references), damage }
  },
}

for (const [name, make] of Object.entries(stores)) {
  blockstoreSuite(name, make)
  interfaceSuite(name, make)
}

async function openDiskStore(scope: CleanUpScope) {
  const folder = await makeTempDir(scope)
  const database = await openDatabase(join(folder, 'database'))
  cleanUpAfter(scope, () => database.close())
  const blocks = join(folder, 'blocks')
  const store = await DiskBlockStore.open(blocks, database)
  cleanUpAfter(scope, () => store.close())
  return { store, damage: (cid: CID) => damageStored(blocks, [cid]), database }
}
