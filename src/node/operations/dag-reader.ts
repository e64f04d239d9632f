/**
 * Blocks of a DAG for operations that look through it: nodes that come from peers stay in the store, so that the next
 * look is quick, content does not. Used by all of them but `get`, which has its own way with leaves.
 */

import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../blockstore/blockstore.ts'
import { isIdentity, RAW } from '../../dag/cid.ts'
import type { ReadBlock } from '../../dag/depth-first.ts'
import { hasKnownLinks, linksOf } from '../../dag/links.ts'
import type { Fetching } from './fetching.ts'

export class DagReader {
  readonly #fetching: Fetching
  readonly #store: BlockStore
  #opaque: CID | undefined

  constructor(fetching: Fetching, store: BlockStore) {
    this.#fetching = fetching
    this.#store = store
  }

  /** The first block that may have links which nobody here can read. */
  get opaque(): CID | undefined {
    return this.#opaque
  }

  /** @throws P2PError `bad-data` for a block that is not what its codec says, and as `BlockReader.fetch` does */
  async read(cid: CID): Promise<ReadBlock & { bytes: Uint8Array }> {
    const bytes = await this.#fetching.blocks.fetch(cid, { signal: this.#fetching.signal })
    const block = { cid, size: bytes.byteLength, bytes, links: this.#linksOf(cid, bytes) }
    if (block.links.length > 0) await this.keep(cid, bytes)
    return block
  }

  /** The same without the bytes of leaves: of one that is here they are not read. */
  async measure(cid: CID): Promise<ReadBlock> {
    if (cid.code === RAW) {
      const size = isIdentity(cid) ? 0 : await this.#store.size(cid, { signal: this.#fetching.signal })
      if (size !== undefined) return { cid, size, links: [] }
    }
    const { size, links } = await this.read(cid)
    return { cid, size, links }
  }

  /** A node stays here if it came from somebody else. */
  async keep(cid: CID, bytes: Uint8Array): Promise<void> {
    if (this.#fetching.session !== undefined) await this.#store.put(cid, bytes)
  }

  #linksOf(cid: CID, bytes: Uint8Array): readonly CID[] {
    if (hasKnownLinks(cid)) return linksOf(cid, bytes)
    this.#opaque ??= cid
    return []
  }
}
