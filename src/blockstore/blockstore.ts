/**
 * Where blocks are kept. Every implementation is keyed by multihash, gives only bytes that it has just hashed, and
 * promises nothing about power cuts before {@link BlockStore.sync} has returned.
 */

import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import type { BlockKey } from '../dag/cid.ts'

export interface ReadOptions extends AbortOptions {
  /** Gives the memory that so many bytes are read into; the store does not look at it afterwards. */
  allocate?: ((length: number) => Uint8Array) | undefined
}

export interface BlockStore {
  /** Whether the block is here, without reading it. @throws P2PError `io` for any error other than absence */
  has(cid: CID, options?: AbortOptions): Promise<boolean>

  /** The size in bytes of a block that is here, without reading it; undefined if it is not. @throws P2PError `io` */
  size(cid: CID, options?: AbortOptions): Promise<number | undefined>

  /**
   * The verified bytes, or undefined if the block is not here. A block whose bytes no longer match is set aside and
   * counts as not here.
   * @throws P2PError `io`: an unreadable block is not a missing one
   */
  get(cid: CID, options?: ReadOptions): Promise<Uint8Array | undefined>

  /**
   * Stores a block that the caller has hashed, and does not look at its bytes once it has returned. Does nothing if the
   * block is already here with the same bytes; the next {@link sync} covers it all the same.
   * @throws P2PError `io`, `disk-full`
   */
  put(cid: CID, bytes: Uint8Array, options?: AbortOptions): Promise<void>

  /** Removes a block; not an error if it is not here. @throws P2PError `io` */
  delete(cid: CID, options?: AbortOptions): Promise<void>

  /** The durability barrier: when it returns, every block put before the call survives a power cut. */
  sync(options?: AbortOptions): Promise<void>

  /** Every block that is here, in no order. */
  keys(options?: AbortOptions): AsyncIterable<BlockKey>
}
