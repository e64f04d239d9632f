/** A block store in memory: the plain reading of the interface, for tests that need no disk. */

import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../src/blockstore/blockstore.ts'
import type { AbortOptions } from '../../src/common/abort.ts'
import { assertAllowedCid, matchesCid, whyRefused } from '../../src/dag/block.ts'
import { type BlockKey, blockKey, isIdentity } from '../../src/dag/cid.ts'

export class MemoryBlockStore implements BlockStore {
  /** What is held; tests look into it and spoil it. */
  readonly blocks = new Map<BlockKey, Uint8Array>()

  async has(cid: CID, options?: AbortOptions): Promise<boolean> {
    return (await this.size(cid, options)) !== undefined
  }

  async size(cid: CID, options?: AbortOptions): Promise<number | undefined> {
    options?.signal?.throwIfAborted()
    return this.#bytesOf(cid)?.byteLength
  }

  async get(cid: CID, options?: AbortOptions): Promise<Uint8Array | undefined> {
    options?.signal?.throwIfAborted()
    const bytes = this.#bytesOf(cid)
    if (bytes === undefined || matchesCid(cid, bytes)) return bytes
    this.blocks.delete(blockKey(cid))
    return undefined
  }

  async put(cid: CID, bytes: Uint8Array, options?: AbortOptions): Promise<void> {
    options?.signal?.throwIfAborted()
    assertAllowedCid(cid)
    // What they were read into is used again.
    if (!isIdentity(cid)) this.blocks.set(blockKey(cid), Buffer.from(bytes))
  }

  async delete(cid: CID, options?: AbortOptions): Promise<void> {
    options?.signal?.throwIfAborted()
    this.blocks.delete(blockKey(cid))
  }

  async sync(options?: AbortOptions): Promise<void> {
    options?.signal?.throwIfAborted()
  }

  async *keys(options?: AbortOptions): AsyncGenerator<BlockKey> {
    for (const key of this.blocks.keys()) {
      options?.signal?.throwIfAborted()
      yield key
    }
  }

  #bytesOf(cid: CID): Uint8Array | undefined {
    if (whyRefused(cid) !== undefined) return undefined
    return isIdentity(cid) ? cid.multihash.digest : this.blocks.get(blockKey(cid))
  }
}
