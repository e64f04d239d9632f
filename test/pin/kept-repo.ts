/** The stores of a repo in a folder of its own, and content in them, for tests of what is kept. */

import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { DiskBlockStore } from '../../src/blockstore/disk-blockstore.ts'
import { LocalBlockStore } from '../../src/blockstore/local-blockstore.ts'
import { References } from '../../src/blockstore/references.ts'
import type { StoreChange } from '../../src/blockstore/store-usage.ts'
import { type Clock, systemClock } from '../../src/common/clock.ts'
import { parseCid, rawCid } from '../../src/dag/cid.ts'
import { type Database, openDatabase } from '../../src/database/database.ts'
import type { AddOptions, AddSource } from '../../src/node/api.ts'
import { addSources } from '../../src/node/operations/add.ts'
import type { CheckParts, Problem } from '../../src/pin/check.ts'
import { checkRepo } from '../../src/pin/check.ts'
import { Pins } from '../../src/pin/pins.ts'
import { type CleanUpScope, cleanUpAfter } from '../support/clean-up.ts'
import { damageStored } from '../support/stored-blocks.ts'
import { makeTempDir } from '../support/temp.ts'

export interface KeptRepo extends CheckParts {
  folder: string
  database: Database
  store: LocalBlockStore
  /** Has the store's changes told. */
  onChange(listener: (change: StoreChange) => void): void
  /** The CIDs of the sources' roots. */
  add(sources: AddSource[], options?: AddOptions): Promise<CID[]>
  /** Changes one bit of each of the blocks on the disk. */
  damage(...cids: CID[]): Promise<void>
  /** Every problem, as `kind cid`, sorted. */
  check(): Promise<string[]>
}

export async function makeKeptRepo(scope: CleanUpScope, clock: Clock = systemClock): Promise<KeptRepo> {
  const folder = await makeTempDir(scope)
  const database = await openDatabase(join(folder, 'database'))
  cleanUpAfter(scope, () => database.close())
  let listener = (_: StoreChange) => {}
  const blocks = await DiskBlockStore.open(join(folder, 'blocks'), database, { onChange: (change) => listener(change) })
  cleanUpAfter(scope, () => blocks.close())
  const references = new References(database)
  cleanUpAfter(scope, () => references.close())
  const store = new LocalBlockStore(blocks, references)
  const pins = new Pins(database, clock)
  const parts: CheckParts = { blocks, references, pins, leftovers: () => blocks.leftovers() }
  return {
    ...parts,
    folder,
    database,
    store,
    onChange: (next) => {
      listener = next
    },
    add: async (sources, options) => {
      const { roots } = await addSources({ store, references, pins, clock }, sources, options)
      return roots.map(({ cid }) => parseCid(cid))
    },
    damage: (...cids) => damageStored(join(folder, 'blocks'), cids),
    check: async () => {
      const found: string[] = []
      const onProblem = async (problem: Problem) => {
        found.push(describe(problem))
        return false
      }
      await checkRepo(parts, { onProblem })
      return found.sort()
    },
  }
}

/** By their multihash alone: what the checker says of a block that no pin has. */
export function describe(problem: Problem): string {
  return `${problem.kind} ${'cid' in problem ? rawCid(problem.cid.multihash) : problem.path}`
}

/** Content of a source that is no file. */
export function streamOf(name: string, content: Uint8Array): AddSource {
  return {
    name,
    content: (async function* () {
      yield content
    })(),
  }
}
