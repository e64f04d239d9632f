/**
 * The roots that this repo keeps. A *recursive* pin was asked for, a *direct* one is a single block; a *kept* root is
 * what a finished `get` leaves, its leaves referenced in the user's file. Known by multihash, like all blocks; a record
 * is durable when it is acknowledged, and so is the index of the blocks that it holds.
 *
 * Written by `node/operations/` after the store's barrier; listed for announcing; asked by gc before it removes a block.
 */

import { CID } from 'multiformats/cid'
import type { Clock } from '../common/clock.ts'
import { mapBounded } from '../common/concurrency.ts'
import { P2PError } from '../common/errors.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import { type BlockKey, blockKey, RAW } from '../dag/cid.ts'
import type { Database, Space } from '../database/database.ts'
import { HeldBlocks, type HolderId } from './held-blocks.ts'
import { Hold } from './hold.ts'

type PinKind = 'recursive' | 'direct' | 'kept'

export interface Pin {
  cid: CID
  name?: string | undefined
  /** Bytes of file content below the root; of a direct pin, of the block. */
  bytes: number
  kind: PinKind
  /** Milliseconds since 1970. */
  createdAt: number
  /** Of a kept root: not all of the DAG is here, since some entries could not be made. */
  isPartial?: boolean | undefined
  /** Of a kept root whose block is pinned directly besides: the bytes of that, which stays when the rest is given up. */
  blockBytes?: number | undefined
  /** Milliseconds since 1970, of a kept root: it was fetched or asked for. */
  usedAt?: number | undefined
  /** Whose records in the index are the blocks of this pin. */
  holder: HolderId
}

export interface NewPin extends Pick<Pin, 'cid' | 'name' | 'bytes' | 'kind' | 'isPartial'> {
  /** What it is called if neither `name` nor an earlier pin says. */
  suggestedName?: string | undefined
}

type PinRecord = Omit<Pin, 'cid'> & { cid: string }

/** The database does together what is asked of it at once. */
const REMOVED_AT_ONCE = 64

/** Each may have thousands of blocks in memory: while there are so many, nothing is written that would be one more. */
const MAX_IN_DOUBT = 16

/** What one kind of pin says more than another. */
const STRENGTH: Record<PinKind, number> = { kept: 0, direct: 1, recursive: 2 }

export class Pins {
  readonly index: HeldBlocks
  readonly #database: Database
  readonly #space: Space
  readonly #clock: Clock
  readonly #lock = new KeyedLock()
  /** Of operations under way. */
  readonly #holds = new Map<HolderId, Hold>()
  /** Of pins, once somebody has asked. */
  readonly #pinned = new Set<HolderId>()
  /** Of pins that a write has failed of, so that they may be there or not: until that is known they count. */
  readonly #inDoubt = new Map<HolderId, CID>()
  #loading: Promise<void> | undefined
  /** The section of {@link removeUnheld} under way. */
  #sweep: Promise<void> = Promise.resolve()

  constructor(database: Database, clock: Clock) {
    this.#database = database
    this.#space = database.space('pin')
    this.#clock = clock
    this.index = new HeldBlocks(database)
  }

  /** Runs `work` with a temporary pin, which ends with it. */
  async holding<T>(work: (hold: Hold) => Promise<T>): Promise<T> {
    const hold = new Hold(this.index, () => this.#sweep)
    this.#holds.set(hold.id, hold)
    try {
      return await work(hold)
    } finally {
      // The records of what it holds may be there or not, as those of the pin.
      if (!this.#inDoubt.has(hold.id)) this.#holds.delete(hold.id)
    }
  }

  /**
   * Keeps a root whose blocks the hold has; durable when it returns, together with the index. A root that is pinned
   * already stays so: it is never weakened, and keeps its time of creation.
   *
   * @throws P2PError `io`, `disk-full`
   */
  async add(pin: NewPin, hold: Hold): Promise<void> {
    if (hold.root !== undefined && !hold.root.equals(pin.cid)) {
      throw new P2PError('internal', `${pin.cid} needs a hold of its own: ${hold.root} has taken this one over`)
    }
    hold.root = pin.cid
    await this.#lock.run(blockKey(pin.cid), async () => {
      const present = await this.get(pin.cid)
      const next = this.#merged(pin, present, hold)
      await hold.written()
      const held = next.holder === hold.id ? hold.unwritten() : []
      await this.#orInDoubt(next, () => this.#database.write([...held, this.#put(next)], { sync: true }))
      this.#pinned.add(next.holder)
      if (present !== undefined && present.holder !== next.holder) await this.#forget(present.holder)
    })
  }

  /** Gives a pin of a repo that had no index its records, which have to be there. Durable when it returns. */
  async setHolder(cid: CID, holder: HolderId): Promise<void> {
    await this.#lock.run(blockKey(cid), async () => {
      const present = await this.get(cid)
      if (present !== undefined) await this.#database.write([this.#put({ ...present, holder })], { sync: true })
    })
  }

  /** Every kept root, in no order that means anything. */
  async *list(): AsyncGenerator<Pin> {
    for await (const [, value] of this.#space.iterate()) yield decodePin(value)
  }

  async get(cid: CID): Promise<Pin | undefined> {
    const value = await this.#space.get(cid.multihash.bytes)
    return value === undefined ? undefined : decodePin(value)
  }

  async has(cid: CID): Promise<boolean> {
    return await this.#space.has(cid.multihash.bytes)
  }

  /** Notes that a kept root was of use, for whoever needs its space. Not synced. */
  async touch(cid: CID): Promise<void> {
    await this.#lock.run(blockKey(cid), async () => {
      const present = await this.get(cid)
      if (present?.kind !== 'kept') return
      await this.#database.write([this.#put({ ...present, usedAt: this.#clock.wallMs() })])
    })
  }

  /** Notes that not all of a kept root is here any more. */
  async markPartial(cid: CID): Promise<void> {
    await this.#lock.run(blockKey(cid), async () => {
      const present = await this.get(cid)
      if (present?.kind === 'kept') await this.#database.write([this.#put({ ...present, isPartial: true })])
    })
  }

  /**
   * Stops keeping a root; durable when it returns. Its blocks stay until gc.
   *
   * @param options - `kind`: only as far as it is of this kind
   * @returns false if there was nothing to remove
   */
  async remove(cid: CID, { kind }: { kind?: PinKind } = {}): Promise<boolean> {
    return await this.#lock.run(blockKey(cid), async () => {
      const present = await this.get(cid)
      if (present === undefined || (kind !== undefined && present.kind !== kind)) return false
      if (kind === 'kept' && present.blockBytes !== undefined) await this.#keepBlock(present, present.blockBytes)
      else await this.#orInDoubt(present, () => this.#space.del(cid.multihash.bytes, { sync: true }))
      await this.#forget(present.holder)
      return true
    })
  }

  /** Whether a pin, or an operation under way, needs the block. Takes as long however many blocks there are. */
  async isHeld(key: BlockKey): Promise<boolean> {
    await this.#load()
    return await this.#isHeldBy(key, (holder) => this.#counts(holder))
  }

  /** Whether an operation under way needs the block, whatever the pins do. */
  async isInUse(key: BlockKey): Promise<boolean> {
    return await this.#isHeldBy(key, (holder) => this.#holds.has(holder))
  }

  /**
   * Calls `remove` with those of the blocks that nobody holds. Whoever begins to hold one of them meanwhile waits until
   * it has ended, so that few blocks at a time keep others from waiting long.
   */
  async removeUnheld(keys: readonly BlockKey[], remove: (key: BlockKey) => Promise<void>): Promise<void> {
    const section = this.#sweep.then(async () => {
      await mapBounded(keys, REMOVED_AT_ONCE, async (key) => {
        if (!(await this.isHeld(key))) await remove(key)
      })
    })
    this.#sweep = section.catch(() => {})
    await section
  }

  /** Which records of the index are worth anything, among those that were there before the call. */
  async holders(): Promise<(holder: HolderId) => boolean> {
    await this.#load()
    return (holder) => this.#counts(holder)
  }

  /** Whether these are the records of a pin, not of an operation under way. */
  async isPin(holder: HolderId): Promise<boolean> {
    await this.#load()
    return this.#pinned.has(holder)
  }

  async #isHeldBy(key: BlockKey, counts: (holder: HolderId) => boolean): Promise<boolean> {
    // In this order, since what is noted moves from here into the index.
    for (const hold of this.#holds.values()) if (hold.hasUnwritten(key)) return true
    for await (const holder of this.index.holdersOf(key)) if (counts(holder)) return true
    return false
  }

  #counts(holder: HolderId): boolean {
    return this.#holds.has(holder) || this.#pinned.has(holder)
  }

  #merged({ suggestedName, ...pin }: NewPin, present: Pin | undefined, hold: Hold): Pin {
    const now = this.#clock.wallMs()
    const name = pin.name ?? present?.name ?? suggestedName
    if (present === undefined) {
      const isKept = pin.kind === 'kept'
      const isPartial = isKept ? pin.isPartial : undefined
      return { ...pin, name, isPartial, createdAt: now, usedAt: isKept ? now : undefined, holder: hold.id }
    }
    // Read as raw, the same bytes have no children: these must not fall out of what is kept.
    const isBlock = pin.kind === 'direct' || (pin.cid.code === RAW && present.cid.code !== RAW)
    const root = isBlock ? present : pin
    const kind = strongestOf(present.kind, isBlock && pin.kind === 'recursive' ? 'direct' : pin.kind)
    const isDownload = kind !== 'recursive' && root.kind === 'kept'
    const hasChildren = !isBlock && pin.cid.code !== present.cid.code
    return {
      cid: root.cid,
      bytes: root.bytes,
      name,
      kind: isDownload ? 'kept' : kind,
      isPartial: isDownload ? root.isPartial : undefined,
      blockBytes: isDownload ? (pinnedBlockBytes(present) ?? pinnedBlockBytes(pin)) : undefined,
      createdAt: present.createdAt,
      usedAt: isDownload ? now : undefined,
      holder: isBlock || (present.kind === 'recursive' && !hasChildren) ? present.holder : hold.id,
    }
  }

  /** Makes a direct pin of a kept root. */
  async #keepBlock({ cid, name, createdAt }: Pin, bytes: number): Promise<void> {
    await this.holding(async (hold) => {
      await hold.add([cid])
      const pin: Pin = { cid, name, bytes, kind: 'direct', createdAt, holder: hold.id }
      await this.#orInDoubt(pin, () => this.#database.write([...hold.unwritten(), this.#put(pin)], { sync: true }))
      this.#pinned.add(hold.id)
    })
  }

  #put({ cid, ...pin }: Pin) {
    const record: PinRecord = { cid: cid.toString(), ...pin }
    const value = Buffer.from(JSON.stringify(record))
    return { space: this.#space, type: 'put' as const, key: cid.multihash.bytes, value }
  }

  /** Runs a write that decides whether the pin is there. */
  async #orInDoubt({ cid, holder }: Pick<Pin, 'cid' | 'holder'>, write: () => Promise<void>): Promise<void> {
    if (this.#inDoubt.size >= MAX_IN_DOUBT) {
      // What fails here has not been written, and is in no doubt.
      await this.#database.settle()
      await this.#settleDoubts()
    }
    try {
      await write()
    } catch (error) {
      this.#pinned.add(holder)
      this.#inDoubt.set(holder, cid)
      throw error
    }
  }

  async #settleDoubts(): Promise<void> {
    if (this.#database.isInDoubt) return
    for (const [holder, cid] of this.#inDoubt) {
      if ((await this.get(cid))?.holder !== holder) this.#pinned.delete(holder)
      this.#inDoubt.delete(holder)
      this.#holds.delete(holder)
    }
  }

  /** Its records are worth nothing from now on. */
  async #forget(holder: HolderId): Promise<void> {
    await this.#loading?.catch(() => {})
    this.#pinned.delete(holder)
  }

  async #load(): Promise<void> {
    this.#loading ??= (async () => {
      for await (const { holder } of this.list()) this.#pinned.add(holder)
    })()
    try {
      await this.#loading
    } catch (error) {
      this.#loading = undefined
      throw error
    }
    if (this.#inDoubt.size > 0) await this.#settleDoubts()
  }
}

function strongestOf(one: PinKind, other: PinKind): PinKind {
  return STRENGTH[one] > STRENGTH[other] ? one : other
}

/** Of a root whose block is pinned by itself. */
function pinnedBlockBytes({ kind, bytes, blockBytes }: Pick<Pin, 'kind' | 'bytes' | 'blockBytes'>): number | undefined {
  return kind === 'kept' ? blockBytes : bytes
}

function decodePin(value: Uint8Array): Pin {
  const record = JSON.parse(Buffer.from(value).toString()) as PinRecord
  return { ...record, cid: CID.parse(record.cid) }
}
