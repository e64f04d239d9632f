/** Whether a store slows down with the number of its blocks. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FsBlockStore } from '../../../src/blockstore/fs-blockstore.ts'
import { sharding } from '../../../src/blockstore/sharding.ts'
import { SECOND_MS } from '../../../src/common/units.ts'
import { numberedBlock } from '../../support/blocks.ts'
import type { Bar } from '../bar.ts'
import { contest, type Sample } from '../measure.ts'

const FEW = 1000
const MANY = 1_000_000
const GETS = 1000

export const manyBlocks: Bar = {
  name: 'many-blocks',
  title: 'opening a store of 1,000,000 blocks and 1,000 gets from all over it beside one of 1,000; in this process',
  fixedRuns: 7,
  measure: async ({ folder, runs }) => {
    const [few, many] = [join(folder, 'few'), join(folder, 'many')]
    makeStore(few, FEW)
    makeStore(many, MANY)
    return await contest({
      ours: { name: '1,000,000 blocks', run: () => getSome(many, MANY) },
      others: [{ name: '1,000 blocks', target: { atMost: 1.5 }, run: () => getSome(few, FEW) }],
      runs,
      unit: 'time',
      show: (seconds) => seconds,
    })
  },
}

/** Written past the store, which would take minutes. */
function makeStore(folder: string, blocks: number): void {
  const shards = new Set<string>()
  for (let index = 0; index < blocks; index++) {
    const { cid, bytes } = numberedBlock(index)
    const { dir, file } = sharding.encode(cid)
    if (!shards.has(dir)) mkdirSync(join(folder, dir), { recursive: true })
    shards.add(dir)
    writeFileSync(join(folder, dir, file), bytes)
  }
}

async function getSome(folder: string, blocks: number): Promise<Sample> {
  const cids = Array.from({ length: GETS }, (_, index) => numberedBlock((index * blocks) / GETS).cid)
  const startedAt = performance.now()
  const store = await FsBlockStore.open(folder)
  for (const cid of cids) {
    if ((await store.get(cid)) === undefined) throw new Error(`${cid} is not there`)
  }
  return { seconds: (performance.now() - startedAt) / SECOND_MS }
}
