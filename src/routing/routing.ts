/** Who has a CID, and telling others that this node does. Implemented by the DHTs (`dht.ts`). */

import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'

/** A peer that claims to have a CID. */
export interface Provider {
  peerId: string
  multiaddrs: string[]
  /** Which part of the routing found it, as shown to the user: `lan-dht`, `wan-dht`. */
  via: string
}

export interface ProvideResult {
  /** How many peers the provider record was sent to, all routing parts together. */
  peers: number
  /**
   * When announcing again is worth it, unless the record is near its end: `first-peer` when a part of the routing had
   * nobody to tell, `later` when there were peers and none took the record.
   */
  again: 'before-expiry' | 'first-peer' | 'later'
}

export interface Routing {
  /**
   * Providers as they are found; ends when every part has finished. Waits a bounded time for a part that has no peers
   * yet, then goes on without it.
   */
  findProviders(cid: CID, options?: AbortOptions): AsyncIterable<Provider>
  /** Sends a provider record for the CID to the peers nearest to it. Zero peers is a result, not an error. */
  provide(cid: CID, options?: AbortOptions): Promise<ProvideResult>
  /** Calls back each time the routing gains its first peer, so that what could be told to nobody is told again. */
  onFirstPeer(listener: () => void): () => void
}
