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

export type ProgressEvent =
  | { type: 'note'; message: string }
  | { type: 'warning'; message: string }
  | AddProgress
  | GetProgress

export interface AddProgress {
  type: 'add-progress'
  bytes: number
  /** null while it is not known, as for stdin. */
  totalBytes: number | null
  files: number
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
  peers: PeerProgress[]
}

export type OnProgress = (event: ProgressEvent) => void
