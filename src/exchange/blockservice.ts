/** Blocks from the store if they are there, else from an exchange session. Used by the operations that read trees. */

import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../blockstore/blockstore.ts'
import { P2PError } from '../common/errors.ts'
import type { BlockReader, FetchOptions } from '../dag/block.ts'
import type { Session } from './exchange.ts'

export class BlockService implements BlockReader {
  readonly #store: Pick<BlockStore, 'get'>
  readonly #session: () => Promise<Session> | undefined

  /** @param session - opens the session, or finds it open; undefined if nobody may be asked */
  constructor(store: Pick<BlockStore, 'get'>, session: () => Promise<Session> | undefined) {
    this.#store = store
    this.#session = session
  }

  async fetch(cid: CID, options?: FetchOptions): Promise<Uint8Array> {
    const stored = await this.#store.get(cid, options)
    if (stored !== undefined) return stored
    const session = await this.#session()
    if (session !== undefined) return await session.fetch(cid, options)
    throw new P2PError('not-found', `Block ${cid} is not in the local store`, {
      hint: 'Leave out --offline to ask other peers for it.',
    })
  }
}
