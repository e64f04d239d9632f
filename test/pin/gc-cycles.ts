/**
 * Collections, one after the other, against all that goes on beside them: four adders, one who fetches, one who pins what
 * is loose, and one who gives up. Contents are few, so that blocks that a collection is about to remove are met by others.
 */

import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import type { CID } from 'multiformats/cid'
import { systemClock } from '../../src/common/clock.ts'
import { hasCode, P2PError } from '../../src/common/errors.ts'
import { KeyedLock } from '../../src/common/keyed-lock.ts'
import { KiB } from '../../src/common/units.ts'
import { linksOf } from '../../src/dag/links.ts'
import { walkDag } from '../../src/dag/walk.ts'
import { getRef } from '../../src/node/operations/get.ts'
import { completeDag } from '../../src/pin/complete-dag.ts'
import { collectGarbage } from '../../src/pin/gc.ts'
import { randomBytes } from '../support/bytes.ts'
import { type KeptRepo, makeKeptRepo } from './kept-repo.ts'

const ADDERS = 4
const CONTENTS = 40
const FILES = 4
/** Given up above that. */
const MAX_PINNED = 12

export interface CycleCounts {
  collections: number
  removedBlocks: number
  /** Roots that were pinned, and found whole right after. */
  acknowledged: number
  fetched: number
  givenUp: number
}

/** @throws AssertionError as soon as a block that was acknowledged is lost */
export async function runGcCycles(
  t: TestContext,
  { seed, cycles }: { seed: string; cycles: number },
): Promise<CycleCounts> {
  return await new Cycles(await makeKeptRepo(t), seed).run(cycles)
}

class Cycles {
  readonly #repo: KeptRepo
  readonly #seed: string
  readonly #counts: CycleCounts = { collections: 0, removedBlocks: 0, acknowledged: 0, fetched: 0, givenUp: 0 }
  /** Pinned, and used by nobody now. */
  readonly #pinned: CID[] = []
  #drawn = 0

  constructor(repo: KeptRepo, seed: string) {
    this.#repo = repo
    this.#seed = seed
  }

  async run(cycles: number): Promise<CycleCounts> {
    while (this.#counts.collections < cycles) {
      let isWorking = true
      const adders = Array.from({ length: ADDERS }, () => this.#add())
      const working = Promise.all([...adders, this.#fetch(), this.#pinLoose(), this.#giveUp()]).finally(() => {
        isWorking = false
      })
      // A failure is reported below.
      working.catch(() => {})
      while (isWorking) {
        this.#counts.removedBlocks += (await collectGarbage(this.#repo)).blocks
        this.#counts.collections++
      }
      await working
    }
    for (const cid of this.#pinned) await this.#assertWhole(cid)
    const problems = await this.#repo.check()
    // Results of downloads are removed here as soon as they are there.
    assert.deepEqual(
      problems.filter((problem) => !problem.startsWith('dangling-reference')),
      [],
    )
    return this.#counts
  }

  async #add(): Promise<void> {
    const [root] = await this.#addTree({ pin: true })
    await this.#acknowledged(root!)
  }

  /** What an add has left without a pin may be collected before there is one; what is pinned is whole. */
  async #pinLoose(): Promise<void> {
    const { store, pins, blocks } = this.#repo
    const [root] = await this.#addTree({ pin: false })
    const read = async (cid: CID) => {
      const bytes = await blocks.get(cid)
      if (bytes === undefined) throw new P2PError('not-found', 'it was collected before')
      return bytes
    }
    try {
      await pins.holding(async (hold) => {
        await completeDag(root!, { hold, store, hasLeaf: async () => false, reader: { fetch: read } })
        await blocks.sync()
        await pins.add({ cid: root!, bytes: 0, kind: 'recursive' }, hold)
      })
    } catch (error) {
      if (hasCode(error, 'not-found')) return
      throw error
    }
    await this.#acknowledged(root!)
  }

  async #fetch(): Promise<void> {
    const cid = this.#take()
    if (cid === undefined) return
    const path = join(this.#repo.folder, `result ${this.#drawn++}`)
    const network = async () => assert.fail('everything is here')
    const { store, references, pins } = this.#repo
    const parts = { store, references, pins, targets: new KeyedLock(), clock: systemClock, bootId: 'boot', network }
    await getRef(parts, cid.toString(), { target: { kind: 'path', path }, offline: true })
    this.#counts.fetched++
    this.#pinned.push(cid)
    await rm(path, { recursive: true })
  }

  async #giveUp(): Promise<void> {
    while (this.#pinned.length > MAX_PINNED) {
      await this.#repo.pins.remove(this.#take()!)
      this.#counts.givenUp++
    }
  }

  async #acknowledged(root: CID): Promise<void> {
    await this.#assertWhole(root)
    this.#counts.acknowledged++
    this.#pinned.push(root)
  }

  /** A folder that no other is like, of files that many have. */
  async #addTree({ pin }: { pin: boolean }): Promise<CID[]> {
    const folder = join(this.#repo.folder, `source ${this.#drawn++}`)
    await mkdir(folder)
    await writeFile(join(folder, 'own'), folder)
    for (let file = 0; file < FILES; file++) {
      const content = randomBytes(`content ${this.#number(CONTENTS)}`, 3 * KiB)
      await writeFile(join(folder, String(file)), content)
    }
    const roots = await this.#repo.add([{ path: folder }], { pin })
    await rm(folder, { recursive: true })
    return roots
  }

  #take(): CID | undefined {
    return this.#pinned.splice(this.#number(this.#pinned.length), 1)[0]
  }

  /** Below `limit`, by the seed. */
  #number(limit: number): number {
    return Math.floor((randomBytes(`${this.#seed} ${this.#drawn++}`, 4).readUInt32BE() / 2 ** 32) * limit)
  }

  async #assertWhole(root: CID): Promise<void> {
    const { blocks } = this.#repo
    const readLinks = async (cid: CID) => {
      const bytes = await blocks.get(cid)
      assert.ok(bytes, `${cid} of ${root} is lost`)
      return linksOf(cid, bytes)
    }
    for await (const { links } of walkDag(root, readLinks)) {
      for (const link of links) assert.ok(await blocks.has(link), `${link} of ${root} is lost`)
    }
  }
}
