/**
 * Getting blocks from others. An exchange (bitswap is one) opens a session per download; the session asks every source
 * it knows and gives each block once, verified.
 */

import type { CID } from 'multiformats/cid'
import type { AbortOptions } from '../common/abort.ts'
import type { BlockReader } from '../dag/block.ts'
import type { BlockKey } from '../dag/cid.ts'

/** A peer that may have what a session wants. */
export interface Source {
  peerId: string
  /** Multiaddrs to try, best first; may be empty if the peer is connected or its addresses are known. */
  multiaddrs: string[]
}

export type PeerPath = 'loopback' | 'lan' | 'direct'

/** What one peer has given in a session. */
export interface SessionPeerStats {
  peerId: string
  /** The address in use, ending in `/p2p/<peer id>`; the last one known if the peer has gone. */
  multiaddr: string
  path: PeerPath
  connected: boolean
  /** Verified payload of blocks that were wanted. */
  bytes: number
  blocks: number
  bytesPerSecond: number
  /** Bytes of the blocks that were asked for and have not arrived. */
  inFlightBytes: number
  rttMs: number | undefined
}

export interface SessionStats {
  /** Verified payload of wanted blocks, each counted once. */
  bytes: number
  blocks: number
  /** Everything read from bitswap streams for this session, framing and duplicates included. */
  receivedBytes: number
  /** Payload that had arrived before. */
  duplicateBytes: number
  peers: SessionPeerStats[]
  /** Milliseconds that this node has spent hashing what came, for whichever session. */
  hashMs: number
  /** Milliseconds in which something that had come had to wait for the limit on what is received. */
  limitMs: number
}

export interface Session extends BlockReader {
  /** Adds a source; it is dialled if it is not connected. Adding one twice adds its new addresses. */
  addSource(source: Source): void
  /**
   * The caller of {@link fetch} does not look at the block any more, nor at anything that was cut from it: its memory may
   * be used again. Not telling costs nothing but speed.
   */
  release(block: Uint8Array): void
  /**
   * Asks a connected peer which of these blocks it has, without asking for them.
   *
   * @returns how many it says that it has, by the time it has answered for all or the signal aborts
   */
  countHeldBy(peerId: string, cids: readonly CID[], options: AbortOptions): Promise<number>
  /** Peers that are connected and not banned. */
  readonly livePeers: number
  stats(): SessionStats
  /** Ends the session: what is still wanted is cancelled with every peer, and waiting fetches reject. */
  close(): Promise<void>
}

export interface SessionOptions extends AbortOptions {
  onEvent?: ((event: SessionEvent) => void) | undefined
}

/** What happens to a session's peers, for people who look. */
export type SessionEvent =
  | { type: 'peer-connected'; peerId: string; multiaddr: string }
  | { type: 'peer-unreachable'; peerId: string; multiaddrs: string[]; reason: string }
  | { type: 'peer-gone'; peerId: string }
  | { type: 'peer-banned'; peerId: string; reason: string }
  /** No peer of the session has this block. */
  | { type: 'nobody-has'; cid: string }

export interface Exchange {
  openSession(options?: SessionOptions): Session
  /** A block can be given to others from now on: those who wait for it are told. @param bytes - its size */
  blockStored(key: BlockKey, bytes: number): void
}
