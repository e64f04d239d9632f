/** Operations on what is kept: pins, garbage, and whether all of it is as it should be. */

import type { Pin } from '../../pin/pins.ts'
import type { FetchingOptions, OnEvent, OperationOptions } from './operation.ts'

export interface PinAddOptions extends FetchingOptions {
  ref: string
  /** Default: that of an earlier pin, else the link's, else the last part of the path. */
  name?: string | undefined
  /** Only the block itself, without what it links to. Default false. */
  direct?: boolean | undefined
}

export interface PinAddResult {
  cid: string
  kind: Pin['kind']
  /** Bytes of content below it; of a direct pin, of the block. */
  bytes: number
  /** What came from peers. */
  receivedBytes: number
  seconds: number
}

export interface PinRmOptions extends OperationOptions {
  /** CIDs of roots. */
  cids: string[]
}

export interface PinRmResult {
  removed: string[]
  failures: { cid: string; message: string }[]
}

export interface PinLsOptions extends OperationOptions {
  /** What downloads left too. Default false. */
  all?: boolean | undefined
  onEvent?: OnEvent<PinEntry> | undefined
}

export interface PinEntry {
  cid: string
  kind: Pin['kind']
  name: string | null
  bytes: number
  /** In ISO 8601. */
  createdAt: string
  /** In ISO 8601; null for pins, which stay however long they are of no use. */
  usedAt: string | null
}

export interface PinLsResult {
  pins: number
}

export interface GcOptions extends OperationOptions {
  /** Only say what would be removed. Default false. */
  dryRun?: boolean | undefined
}

export interface GcResult {
  /** Blocks that were removed, and their bytes, with those of damaged blocks that had been set aside. */
  blocks: number
  bytes: number
  /** Blocks in files of the user that are not served any more; the files stay as they are. */
  references: number
}

export interface VerifyOptions extends FetchingOptions {
  /** Mend what is wrong, and fetch what is damaged or missing. Default false. */
  repair?: boolean | undefined
  onEvent?: OnEvent<VerifiedProblem> | undefined
}

export interface VerifiedProblem {
  kind:
    | 'corrupt-block'
    | 'dangling-reference'
    | 'unreadable-reference'
    | 'missing-block'
    | 'unindexed-block'
    | 'unreadable-pack'
    | 'leftover'
  /** null for a file that was left over, and for a pack. */
  cid: string | null
  /** The root of the pin, or download, that needs the block. */
  root: string | null
  /** The file of the user, the pack, or the file that was left over. */
  path: string | null
  reason: string
  /** False where no pin lacks anything by it: a file of the user, which they may do with as they like, was moved or changed. */
  matters: boolean
  repaired: boolean
}

export interface VerifyResult {
  blocks: number
  bytes: number
  references: number
  pins: number
  problems: number
  repaired: number
}

export interface RepoResult {
  path: string
  version: string
  blocks: number
  bytes: number
  /** Blocks in files of the user. */
  references: number
  pins: number
  /** What downloads left. */
  downloads: number
  /** `store.maxSize`; null for no limit. */
  maxBytes: number | null
}
