/** Whether a store slows down with the number of its blocks. */

import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DiskBlockStore } from '../../../src/blockstore/disk-blockstore.ts'
import { SECOND_MS } from '../../../src/common/units.ts'
import { openDatabase } from '../../../src/database/database.ts'
import { numberedBlock } from '../../support/blocks.ts'
import type { Bar } from '../bar.ts'
import { contest, type Sample } from '../measure.ts'

const FEW = 1000
const MANY = 1_000_000
const GETS = 1000
const PUTS_AT_ONCE = 64

export const manyBlocks: Bar = {
  name: 'many-blocks',
  title:
    'opening a store of 1,000,000 small blocks and 1,000 gets from all over it beside one of 1,000; in this process',
  fixedRuns: 7,
  measure: async ({ folder, runs }) => {
    const [few, many] = [join(folder, 'few'), join(folder, 'many')]
    await makeStore(few, FEW)
    await makeStore(many, MANY)
    return await contest({
      ours: { name: '1,000,000 blocks', run: () => getSome(many, MANY) },
      others: [{ name: '1,000 blocks', target: { atMost: 1.5 }, run: () => getSome(few, FEW) }],
      runs,
      unit: 'time',
      show: (seconds) => seconds,
    })
  },
}

async function makeStore(folder: string, blocks: number): Promise<void> {
  await withStore(folder, async (store) => {
    let next = 0
    const putRest = async () => {
      while (next < blocks) {
        const { cid, bytes } = numberedBlock(next++)
        await store.put(cid, bytes)
      }
    }
    await Promise.all(Array.from({ length: PUTS_AT_ONCE }, putRest))
    await store.sync()
  })
}

async function getSome(folder: string, blocks: number): Promise<Sample> {
  const cids = Array.from({ length: GETS }, (_, index) => numberedBlock((index * blocks) / GETS).cid)
  const startedAt = performance.now()
  await withStore(folder, async (store) => {
    for (const cid of cids) {
      if ((await store.get(cid)) === undefined) throw new Error(`${cid} is not there`)
    }
  })
  return { seconds: (performance.now() - startedAt) / SECOND_MS }
}

async function withStore(folder: string, use: (store: DiskBlockStore) => Promise<void>): Promise<void> {
  await mkdir(folder, { recursive: true })
  const database = await openDatabase(join(folder, 'database'))
  const store = await DiskBlockStore.open(join(folder, 'blocks'), database)
  await use(store)
  await store.close()
  await database.close()
}
