import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { base32upper } from 'multiformats/bases/base32'
import type { CID } from 'multiformats/cid'
import { FsBlockStore } from '../../src/blockstore/fs-blockstore.ts'
import { LocalBlockStore } from '../../src/blockstore/local-blockstore.ts'
import { References } from '../../src/blockstore/references.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { openDatabase } from '../../src/database/database.ts'
import { damaged } from '../support/blocks.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'
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
  return { store: await FsBlockStore.open(folder), damage: (cid) => damageFile(folder, cid) }
})

blockstoreSuite('LocalBlockStore', async (t: TestContext) => {
  const folder = await makeTempDir(t)
  const database = await openDatabase(join(folder, 'database'))
  cleanUpAfter(t, () => database.close())
  const references = new References(database)
  cleanUpAfter(t, () => references.close())
  const blocks = join(folder, 'blocks')
  const store = new LocalBlockStore(await FsBlockStore.open(blocks), references)
  return { store, damage: (cid) => damageFile(blocks, cid) }
})

async function damageFile(folder: string, cid: CID): Promise<void> {
  const name = base32upper.encode(cid.multihash.bytes)
  const path = join(folder, name.slice(-3, -1), `${name}.data`)
  await writeFile(path, damaged(await readFile(path)))
}
