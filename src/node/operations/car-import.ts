/** `car import`: every block of a CAR file into the store, and its roots pinned once everything is durable. */

import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../blockstore/blockstore.ts'
import { type Car, readCar } from '../../car/read.ts'
import type { Clock } from '../../common/clock.ts'
import { hasCode, P2PError } from '../../common/errors.ts'
import { BlockSet } from '../../dag/block-set.ts'
import { BlockService } from '../../exchange/blockservice.ts'
import { readUserFile } from '../../files/user-file.ts'
import { completeDag } from '../../pin/complete-dag.ts'
import type { Pins } from '../../pin/pins.ts'
import { contentBytes } from '../../unixfs/list.ts'
import type { CarImportOptions, CarImportResult, ImportedRoot } from '../api/blocks.ts'
import { readContent } from './content.ts'
import { paced } from './paced.ts'

interface CarImportParts {
  store: BlockStore
  pins: Pick<Pins, 'add' | 'holding'>
  clock: Clock
}

/** @throws P2PError as `Api.run` says of it */
export async function carImport(parts: CarImportParts, options: CarImportOptions): Promise<CarImportResult> {
  const { path, content, signal } = options
  const chunks = path === undefined ? content && readContent(content, { signal }) : readUserFile(path, { signal })
  if (chunks === undefined) throw new P2PError('usage', 'There is no CAR file to import')
  return await parts.pins.holding(async (hold) => {
    const car = await readCar(chunks)
    const stored = new BlockSet()
    const counts = await storeBlocks(car, hold.over(parts.store), stored, parts.clock, options)
    await parts.store.sync({ signal })
    const roots: ImportedRoot[] = []
    for (const cid of car.roots) {
      const root = await keepRoot(cid, stored, parts, options)
      roots.push(root)
      await options.onEvent?.(root)
    }
    return { version: car.version, roots, ...counts }
  })
}

async function storeBlocks(
  { blocks }: Car,
  store: Pick<BlockStore, 'put'>,
  stored: BlockSet,
  clock: Clock,
  { signal, onProgress }: CarImportOptions,
): Promise<Pick<CarImportResult, 'blocks' | 'blockBytes'>> {
  const counts = { blocks: 0, blockBytes: 0 }
  const report = paced(clock, () => {
    const { blocks, blockBytes: bytes } = counts
    onProgress?.({ type: 'car-progress', action: 'import', bytes, totalBytes: null, blocks })
  })
  for await (const { cid, bytes } of blocks) {
    signal?.throwIfAborted()
    await store.put(cid, bytes, { signal })
    stored.add(cid)
    counts.blocks++
    counts.blockBytes += bytes.byteLength
    report()
  }
  return counts
}

/** A pin promises all that is below its root, which a CAR file does not have to have: what else is here is put again. */
async function keepRoot(
  root: CID,
  stored: BlockSet,
  { store, pins }: CarImportParts,
  { pin = true, signal }: CarImportOptions,
): Promise<ImportedRoot> {
  const cid = root.toString()
  if (!pin) return { cid, pinned: false, problem: null }
  const reader = new BlockService(store, () => undefined)
  try {
    await pins.holding(async (hold) => {
      await completeDag(root, { hold, store, hasLeaf: async (leaf) => stored.has(leaf), reader, signal })
      const bytes = await contentBytes(root, (node) => reader.fetch(node, { signal }))
      await store.sync({ signal })
      await pins.add({ cid: root, bytes, kind: 'recursive' }, hold)
    })
    return { cid, pinned: true, problem: null }
  } catch (error) {
    if (!hasCode(error, 'not-found', 'bad-data')) throw error
    return { cid, pinned: false, problem: error.message }
  }
}
