/**
 * Blocks of a DAG for operations that go through all of it: nodes that come from others stay in the store, so that they
 * are here for the next look, leaves do not.
 */

import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../blockstore/blockstore.ts'
import { RAW } from '../../dag/cid.ts'
import type { ReadBlock } from '../../dag/depth-first.ts'
import { hasKnownLinks, linksOf } from '../../dag/links.ts'
import type { Fetching } from './fetching.ts'

export class DagReader {
  readonly #fetching: Fetching
  readonly #store: BlockStore
  /** The first block that may have links which nobody here can read. */
  opaque: CID | undefined

  constructor(fetching: Fetching, store: BlockStore) {
    this.#fetching = fetching
    this.#store = store
  }

  /** @throws P2PError `bad-data` for a block that is not what its codec says; as `BlockReader.fetch` does */
  async read(cid: CID): Promise<ReadBlock & { bytes: Uint8Array }> {
    const bytes = await this.#fetching.blocks.fetch(cid, { signal: this.#fetching.signal })
    const links = this.#linksOf(cid, bytes)
    if (links.length > 0) await this.#fetching.keep(cid, bytes)
    return { cid, size: bytes.byteLength, bytes, links }
  }

  /** The same without the bytes: raw leaves that are here are not read for it. */
  async measure(cid: CID): Promise<ReadBlock> {
    if (cid.code === RAW) {
      const size = await this.#store.size(cid, { signal: this.#fetching.signal })
      if (size !== undefined) return { cid, size, links: [] }
    }
    const { size, links } = await this.read(cid)
    return { cid, size, links }
  }

  #linksOf(cid: CID, bytes: Uint8Array): readonly CID[] {
    if (hasKnownLinks(cid)) return linksOf(cid, bytes)
    this.opaque ??= cid
    return []
  }
}
