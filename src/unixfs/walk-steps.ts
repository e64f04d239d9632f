/** What a download walk asks for next, and where it belongs: the terms that `walk.ts` and `cursors.ts` share. */

import type { CID } from 'multiformats/cid'
import type { NodeMetadata } from './decode.ts'

/** A file of the result. */
export interface WalkFile {
  /** Counts up from 0 in the order in which files are found. */
  id: number
  /** Names from the root of the result down; empty if the result is this file. */
  path: readonly string[]
  /** Size in bytes; undefined for a file of one raw block whose folder does not say. */
  bytes: number | undefined
  metadata?: NodeMetadata | undefined
}

/** A place in the result where a block's content belongs. */
export interface Place {
  file: WalkFile
  offset: number
}

/** A leaf to fetch and write. */
export interface LeafStep extends Place {
  cid: CID
  /** The content's size; undefined for a file of one raw block whose folder does not say. */
  bytes: number | undefined
  /** What to expect where `bytes` is not known; not to be trusted. */
  expectedBytes: number
}

/** A block to fetch, decode and give to `Walk.resolve`. */
export interface NodeStep {
  cid: CID
  /** Size of the content below; undefined for what hangs in a folder. */
  contentBytes: number | undefined
  context: NodeContext
}

export type NodeContext =
  | { kind: 'root' }
  | { kind: 'file'; file: WalkFile; offset: number; depth: number }
  | { kind: 'entry'; path: readonly string[]; depth: number; tsize: number }
  | { kind: 'shard'; path: readonly string[]; depth: number; place: ShardPlace }

/** Where a shard is in its folder. */
export interface ShardPlace {
  /** Those that lead to it, from the root shard down. */
  buckets: readonly number[]
  fanout: number
}

/** Bytes of a file: from `start` on, up to `end`, which is not one of them any more and may be infinite. */
export interface ByteRange {
  start: number
  end: number
}

/** How many of `bytes` bytes from `offset` on are in the range. */
export function overlap({ start, end }: ByteRange, offset: number, bytes: number): number {
  return Math.max(0, Math.min(offset + bytes, end) - Math.max(offset, start))
}

/** Which of a node's leaves to ask for first. */
export type FirstLeaf = (leaves: number) => number

export function isLeafStep(step: LeafStep | NodeStep): step is LeafStep {
  return 'file' in step
}
