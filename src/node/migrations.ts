/** How repos of earlier versions are brought to this one. Called by `open.ts`, under the repo's lock. */

import { randomBytes } from 'node:crypto'
import { FsBlockStore } from '../blockstore/fs-blockstore.ts'
import { systemClock } from '../common/clock.ts'
import { hasCode } from '../common/errors.ts'
import { blockKey, isIdentity } from '../dag/cid.ts'
import { linksOf } from '../dag/links.ts'
import { walkDag } from '../dag/walk.ts'
import { type Pin, Pins } from '../pin/pins.ts'
import type { Migration } from '../repo/repo.ts'

export const MIGRATIONS: ReadonlyMap<string, Migration> = new Map([
  ['1', indexPins],
  // Version 2 had no packs: its small blocks stay files.
  ['2', async () => {}],
])

/** Version 1 did not know which blocks its pins hold. */
async function indexPins({ location, database }: Parameters<Migration>[0]): Promise<void> {
  const blocks = await FsBlockStore.open(location.blocksDir)
  const pins = new Pins(database, systemClock)
  for await (const pin of pins.list()) await indexPin(pin, pins, blocks)
}

async function indexPin(pin: Pin, pins: Pins, blocks: FsBlockStore): Promise<void> {
  const holder = randomBytes(8).toString('hex')
  await pins.index.add([blockKey(pin.cid)], holder)
  const readLinks = async (cid: Pin['cid']) => {
    try {
      const bytes = await blocks.get(cid)
      return bytes === undefined ? [] : linksOf(cid, bytes)
    } catch (error) {
      // What cannot be read now is found by `p2p verify`, and keeps nobody from the rest.
      if (hasCode(error, 'io', 'bad-data')) return []
      throw error
    }
  }
  for await (const { links } of walkDag(pin.cid, readLinks)) {
    await pins.index.add(links.filter((cid) => !isIdentity(cid)).map(blockKey), holder)
  }
  await pins.setHolder(pin.cid, holder)
}
