/** What the session plan keeps of each want and of each peer. */

import type { CID } from 'multiformats/cid'
import { type BlockKey, blockKey } from '../../dag/cid.ts'
import { Holdings } from './holdings.ts'
import { PeerPace } from './peer-pace.ts'
import { seedOf } from './rendezvous.ts'

export interface Want {
  readonly key: BlockKey
  readonly cid: CID
  /** Counts up in the order in which blocks are wanted. */
  readonly index: number
  readonly bytes: number
  readonly seed: number
  /** Peers that are asked for it now, the first one first; two only at the end of a download. */
  readonly holders: Map<string, { askedAt: number }>
  /** Peers that lacked it or failed to send it, and when that was known. */
  readonly refusedBy: Map<string, number>
  /** Partial peers that have it. */
  copies: number
  /** It was asked of a peer that failed. */
  urgent: boolean
  /** Its place in the backlog, if it is there. */
  level: number | undefined
  reportedLost: boolean
}

export interface PlanPeer {
  readonly id: string
  readonly seed: number
  readonly pace: PeerPace
  readonly holdings: Holdings
  readonly asked: Map<BlockKey, Want>
  lastHeardAt: number
  /** Bytes since then that were too few to count as life. */
  heardBytes: number
  stalled: boolean
  /** What was asked lately, to tell a late block from one that was never asked for. */
  readonly remembered: Set<BlockKey>
}

export function newWant(cid: CID, index: number, bytes: number): Want {
  const key = blockKey(cid)
  return {
    key,
    cid,
    index,
    bytes,
    seed: seedOf(key),
    holders: new Map(),
    refusedBy: new Map(),
    copies: 0,
    urgent: false,
    level: undefined,
    reportedLost: false,
  }
}

export function newPeer(id: string, now: number): PlanPeer {
  return {
    id,
    seed: seedOf(id),
    pace: new PeerPace(now),
    holdings: new Holdings(),
    asked: new Map(),
    lastHeardAt: now,
    heardBytes: 0,
    stalled: false,
    remembered: new Set(),
  }
}
