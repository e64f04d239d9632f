/** Operations about this node and those it knows. */

import type { OnEvent, OperationOptions } from './operation.ts'

export interface IdResult {
  peerId: string
  /** Dialable addresses, each ending in `/p2p/<peer id>`, those that reach furthest first; empty while nothing listens. */
  multiaddrs: string[]
}

export interface StayOptions extends OperationOptions {
  /** Told at once, and again when another process has taken over. */
  onEvent: OnEvent<StayEvent>
}

export interface StayEvent extends IdResult {
  /** Whether whoever holds the repo serves others until it is ended. */
  serves: boolean
  /** Who holds the repo; the command as `p2p serve`. */
  holder: { command: string; pid: number }
}

/** Bytes of what came from a peer and went to it, since it is connected. */
interface Exchanged {
  receivedBytes: number
  sentBytes: number
  /** Over the last seconds. */
  receivedBytesPerSecond: number
  sentBytesPerSecond: number
}

export interface ConnectedPeer extends Exchanged {
  peerId: string
  /** The address in use, ending in `/p2p/<peer id>`. */
  multiaddr: string
  path: 'loopback' | 'lan' | 'direct'
  /** Who connected to whom: `in` if the peer did. */
  direction: 'in' | 'out'
  rttMs: number | null
}

export interface PeersResult {
  peers: ConnectedPeer[]
  /** Whether a node of ours that takes connections is running. */
  reachable: boolean
}

export interface ConnectOptions extends OperationOptions {
  /** The address of the peer, ending in `/p2p/<peer id>`. */
  multiaddr: string
}

export interface ConnectResult {
  peerId: string
  /** The address in use. */
  multiaddr: string
  path: 'loopback' | 'lan' | 'direct'
  /** Whether the connection stays when the command ends. */
  stays: boolean
}

export interface FindOptions extends OperationOptions {
  ref: string
  /** Ends after so many peers. Default: when everybody has been asked. */
  limit?: number | undefined
  /** Longest search in milliseconds; what was found until then is the result. */
  timeoutMs?: number | undefined
  /** Told of each provider as it is found; again if it has other addresses too. */
  onEvent?: OnEvent<FoundProvider> | undefined
}

interface FoundProvider {
  peerId: string
  /** Each ending in `/p2p/<peer id>`; may be empty. */
  multiaddrs: string[]
  /** Who named it: `lan-dht`, `wan-dht`. */
  via: string
}

export interface FindResult {
  cid: string
  /** Peers that were found, each counted once. */
  providers: number
  timedOut: boolean
}

export interface StatusOptions extends OperationOptions {
  /** Told of each root that is kept. */
  onEvent?: OnEvent<RootStatus> | undefined
}

export interface RootStatus {
  cid: string
  name: string | null
  /** Bytes of file content below it. */
  bytes: number
  kind: 'recursive' | 'direct' | 'kept'
  /** When it was announced last, in ISO 8601, and to how many peers; null if it was not. */
  announced: { at: string; peers: number } | null
}

export interface StatusResult {
  /** Null while no command serves on this repo. */
  server: ServerStatus | null
  roots: number
  /** Sum over the roots. */
  bytes: number
}

export interface ServerStatus extends IdResult, Exchanged {
  /** As `p2p serve`. */
  command: string
  pid: number
  version: string
  /** ISO 8601. */
  since: string
  connections: number
  /** When all roots are announced again at the latest, in ISO 8601; null before the first time. */
  announcesAgain: string | null
}

export interface StopResult {
  /** The command that ends, and its process. */
  command: string
  pid: number
}
