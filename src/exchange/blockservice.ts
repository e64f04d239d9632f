/** Blocks from the store if they are there, else from an exchange session. Used by the operations that read trees. */

import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../blockstore/blockstore.ts'
import { hasCode, P2PError } from '../common/errors.ts'
import { RecentMap } from '../common/recent-map.ts'
import { KiB, MiB } from '../common/units.ts'
import { assertAllowedCid, type BlockReader, bytesInCid, type FetchOptions } from '../dag/block.ts'
import { type BlockKey, blockKey } from '../dag/cid.ts'
import type { Session } from './exchange.ts'

/** Fetched blocks are kept for a moment, twice so much at most: until they are stored or written, the store does not know them. */
const RECENT_BYTES = 4 * MiB
/** What a block counts as at least. */
const MIN_BLOCK_WEIGHT = KiB
const MAX_RECENT_BLOCK_BYTES = 512 * KiB

export class BlockService implements BlockReader {
  readonly #store: Pick<BlockStore, 'get'>
  readonly #session: () => Promise<Session> | undefined
  readonly #recent = new RecentMap<BlockKey, Uint8Array>(RECENT_BYTES)
  #fetchedFrom: Session | undefined

  /** @param session - opens the session, or finds it open; undefined if nobody may be asked */
  constructor(store: Pick<BlockStore, 'get'>, session: () => Promise<Session> | undefined) {
    this.#store = store
    this.#session = session
  }

  async fetch(cid: CID, options?: FetchOptions): Promise<Uint8Array> {
    assertAllowedCid(cid)
    const key = blockKey(cid)
    const known = bytesInCid(cid) ?? this.#recent.get(key)
    if (known !== undefined) return known
    let failure: unknown
    const stored = await this.#store.get(cid, options).catch((error) => {
      if (!hasCode(error, 'io')) throw error
      failure = error
      return undefined
    })
    if (stored !== undefined) return stored
    const session = await this.#session()
    // Others may have what cannot be read here.
    if (session === undefined && failure !== undefined) throw failure
    if (session === undefined) {
      throw new P2PError('not-found', `Block ${cid} is not in the local store`, {
        hint: 'Leave out --offline to ask other peers for it.',
      })
    }
    this.#fetchedFrom = session
    const block = await session.fetch(cid, options)
    this.#keepRecent(key, block)
    return block
  }

  /** The caller of {@link fetch} does not look at the block any more. */
  release(block: Uint8Array): void {
    // Smaller ones may be among those kept here.
    if (block.byteLength > MAX_RECENT_BLOCK_BYTES) this.#fetchedFrom?.release(block)
  }

  #keepRecent(key: BlockKey, block: Uint8Array): void {
    if (block.byteLength > MAX_RECENT_BLOCK_BYTES || this.#recent.has(key)) return
    this.#recent.set(key, block, Math.max(MIN_BLOCK_WEIGHT, block.byteLength))
  }
}
