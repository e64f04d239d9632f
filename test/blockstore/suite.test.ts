import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { base32upper } from 'multiformats/bases/base32'
import type { CID } from 'multiformats/cid'
import { FsBlockStore } from '../../src/blockstore/fs-blockstore.ts'
import { LocalBlockStore } from '../../src/blockstore/local-blockstore.ts'
import { References } from '../../src/blockstore/references.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { openDatabase } from '../../src/database/database.ts'
import { damaged } from '../support/blocks.ts'
import { type CleanUpScope, cleanUpAfter } from '../support/clean-up.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'
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
    return { store: await FsBlockStore.open(folder), damage: (cid) => damageFile(folder, cid) }
  },

  LocalBlockStore: async (scope) => {
    const folder = await makeTempDir(scope)
    const database = await openDatabase(join(folder, 'database'))
    cleanUpAfter(scope, () => database.close())
    const references = new References(database)
    cleanUpAfter(scope, () => references.close())
    const blocks = join(folder, 'blocks')
    const store = new LocalBlockStore(await FsBlockStore.open(blocks), references)
    return { store, damage: (cid) => damageFile(blocks, cid) }
  },
}

for (const [name, make] of Object.entries(stores)) {
  blockstoreSuite(name, make)
  interfaceSuite(name, make)
}

async function damageFile(folder: string, cid: CID): Promise<void> {
  const name = base32upper.encode(cid.multihash.bytes)
  const path = join(folder, name.slice(-3, -1), `${name}.data`)
  await writeFile(path, damaged(await readFile(path)))
}
