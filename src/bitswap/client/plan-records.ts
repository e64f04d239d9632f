/** What the session plan keeps of each want and of each peer. */

import type { CID } from 'multiformats/cid'
import { type BlockKey, blockKey } from '../../dag/cid.ts'
import { Holdings } from './holdings.ts'
import { PeerPace } from './peer-pace.ts'
import { PeerPulse } from './peer-pulse.ts'
import { RecentKeys } from './recent-keys.ts'
import { seedOf } from './rendezvous.ts'

const REMEMBERED_KEYS = 8192

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
  readonly pulse: PeerPulse
  stalled: boolean
  /** What it was asked for, to tell a late block from one that was never asked for. */
  readonly remembered: RecentKeys
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
    pulse: new PeerPulse(now),
    stalled: false,
    remembered: new RecentKeys(REMEMBERED_KEYS),
  }
}
