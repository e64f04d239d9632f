/** Operations about this node and those it knows. */

export interface IdResult {
  peerId: string
  /** Dialable addresses, each ending in `/p2p/<peer id>`; empty while nothing is listened on. */
  multiaddrs: string[]
}
