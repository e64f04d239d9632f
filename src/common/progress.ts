/**
 * What long operations report while they run: plain data, the same for the terminal, for `--json` and across
 * processes. Sizes in bytes, rates in bytes a second.
 */

export interface PeerProgress {
  peerId: string
  multiaddr: string
  path: 'loopback' | 'lan' | 'direct'
  connected: boolean
  bytes: number
  blocks: number
  bytesPerSecond: number
  inFlightBytes: number
  rttMs: number | null
}

export type GetPhase = 'connecting' | 'finding-providers' | 'metadata' | 'downloading' | 'finishing'

/** What a download waits for most: answers of peers, the disk, the hashing of what came, or a limit of the user's. */
export type HeldBackBy = 'peer' | 'disk' | 'hash' | 'limit'

export type ProgressEvent =
  /** Of a detail only those are told who want to know all. */
  | { type: 'note'; message: string; isDetail?: boolean }
  | { type: 'warning'; message: string }
  | AddProgress
  | CarProgress
  | GetProgress

export interface AddProgress {
  type: 'add-progress'
  bytes: number
  /** null while it is not known, as for stdin. */
  totalBytes: number | null
  files: number
  /** null while it is not known. */
  totalFiles: number | null
  bytesPerSecond: number
  etaSeconds: number | null
}

export interface CarProgress {
  type: 'car-progress'
  action: 'export' | 'import'
  /** Of the file, so far. */
  bytes: number
  totalBytes: null
  blocks: number
}

export interface GetProgress {
  type: 'progress'
  phase: GetPhase
  /** Verified and in place, what an earlier run left included. */
  bytes: number
  totalBytes: number | null
  bytesPerSecond: number
  etaSeconds: number | null
  duplicateBytes: number
  /** Over the last seconds; null while that cannot be told. */
  heldBackBy: HeldBackBy | null
  peers: PeerProgress[]
}

export type OnProgress = (event: ProgressEvent) => void
