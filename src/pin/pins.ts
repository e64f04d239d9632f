/**
 * The roots that this repo keeps. A *recursive* pin was asked for; a *kept* root is what a finished `get` leaves, its
 * leaves referenced in the user's file. Known by multihash, like all blocks; a record is durable when it is acknowledged.
 *
 * Written by `node/operations/add.ts` and `get.ts` after the store's barrier; listed for announcing.
 */

import { CID } from 'multiformats/cid'
import type { Clock } from '../common/clock.ts'
import { KeyedLock } from '../common/keyed-lock.ts'
import { blockKey, RAW } from '../dag/cid.ts'
import type { Space } from '../database/database.ts'

export interface Pin {
  cid: CID
  name?: string | undefined
  /** Bytes of file content below the root. */
  bytes: number
  kind: 'recursive' | 'kept'
  /** Milliseconds since 1970. */
  createdAt: number
}

type PinRecord = Omit<Pin, 'cid'> & { cid: string }

export class Pins {
  readonly #space: Space
  readonly #clock: Clock
  readonly #lock = new KeyedLock()

  constructor(space: Space, clock: Clock) {
    this.#space = space
    this.#clock = clock
  }

  /**
   * Keeps a root; durable when it returns. A root that is pinned already stays so: it is never weakened to kept, and
   * keeps its time of creation.
   *
   * @throws P2PError `io`, `disk-full`
   */
  async add({ cid, name, bytes, kind }: Omit<Pin, 'createdAt'>): Promise<void> {
    await this.#lock.run(blockKey(cid), async () => {
      const present = await this.#get(cid)
      // Read as raw, the same bytes have no children: these must not fall out of what is kept.
      const root = present !== undefined && cid.code === RAW ? present : { cid, bytes }
      const pin: PinRecord = {
        cid: root.cid.toString(),
        name: name ?? present?.name,
        bytes: root.bytes,
        kind: present?.kind === 'recursive' ? 'recursive' : kind,
        createdAt: present?.createdAt ?? this.#clock.wallMs(),
      }
      await this.#space.put(cid.multihash.bytes, Buffer.from(JSON.stringify(pin)), { sync: true })
    })
  }

  /** Every kept root, in no order that means anything. */
  async *list(): AsyncGenerator<Pin> {
    for await (const [, value] of this.#space.iterate()) yield decodePin(value)
  }

  async has(cid: CID): Promise<boolean> {
    return await this.#space.has(cid.multihash.bytes)
  }

  /** Stops keeping a root; durable when it returns. Not an error if it is not kept. */
  async remove(cid: CID): Promise<void> {
    await this.#lock.run(blockKey(cid), () => this.#space.del(cid.multihash.bytes, { sync: true }))
  }

  async #get(cid: CID): Promise<Pin | undefined> {
    const value = await this.#space.get(cid.multihash.bytes)
    return value === undefined ? undefined : decodePin(value)
  }
}

function decodePin(value: Uint8Array): Pin {
  const record = JSON.parse(Buffer.from(value).toString()) as PinRecord
  return { ...record, cid: CID.parse(record.cid) }
}
