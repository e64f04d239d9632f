/**
 * The blocks of this machine as one store: those in files of this program first, then those that lie in the user's files.
 * New blocks never go into the latter. Built by `node/open.ts`.
 */

import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import { type BlockKey, cidOfKey } from '../dag/cid.ts'
import type { BlockStore, ReadOptions } from './blockstore.ts'
import type { References } from './references.ts'

export class LocalBlockStore implements BlockStore {
  readonly #files: BlockStore
  readonly #references: References

  constructor(files: BlockStore, references: References) {
    this.#files = files
    this.#references = references
  }

  async has(cid: CID, options?: AbortOptions): Promise<boolean> {
    return (await this.size(cid, options)) !== undefined
  }

  async size(cid: CID, options?: AbortOptions): Promise<number | undefined> {
    return (await this.#files.size(cid, options)) ?? (await this.#references.size(cid))
  }

  async get(cid: CID, options?: ReadOptions): Promise<Uint8Array | undefined> {
    return (await this.#files.get(cid, options)) ?? (await this.#references.get(cid, options))
  }

  async put(cid: CID, bytes: Uint8Array, options?: AbortOptions): Promise<void> {
    await this.#files.put(cid, bytes, options)
  }

  /** Removes the block file and the reference; the user's file stays as it is. */
  async delete(cid: CID, options?: AbortOptions): Promise<void> {
    await this.#files.delete(cid, options)
    await this.#references.delete(cid)
  }

  async sync(options?: AbortOptions): Promise<void> {
    await this.#files.sync(options)
  }

  async *keys(options?: AbortOptions): AsyncGenerator<BlockKey> {
    yield* this.#files.keys(options)
    for await (const key of this.#references.keys()) {
      options?.signal?.throwIfAborted()
      const alsoAFile = await this.#files.has(cidOfKey(key), options)
      if (!alsoAFile) yield key
    }
  }
}
