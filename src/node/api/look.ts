/** Operations that look at what is there: `ls`, `cat`, `info`. */

import type { FetchingOptions, OnEvent, WriteBytes } from './operation.ts'

type EntryKind =
  | 'file'
  | 'folder'
  | 'symlink'
  /** A node without UnixFS data. */
  | 'dag-pb'
  /** A block of another codec, which is not read. */
  | 'opaque'
  /** A node that breaks the rules of UnixFS. */
  | 'malformed'

export interface LsOptions extends FetchingOptions {
  ref: string
  /** Look at each entry, which fetches what is not here, for its type, size and times. Default: only if recursive. */
  long?: boolean | undefined
  /** List what is in folders below, too. Default false. */
  recursive?: boolean | undefined
  /** Takes each entry as soon as all before it are told, in the order of the folder's links. */
  onEvent?: OnEvent<LsEntry> | undefined
}

export interface LsEntry {
  /** From the folder that is listed down; the name of the thing itself if it is no folder. Chosen by whoever made it. */
  path: string
  cid: string
  /** The name of the CID's codec. */
  codec: string
  /** null where nobody has looked. */
  kind: EntryKind | null
  /** Bytes of a file's content; null where there is none, or where it is not known. */
  bytes: number | null
  /** Permission bits; null if the node has none. */
  mode: number | null
  /** In ISO 8601; null if the node has none. */
  mtime: string | null
  /** Where a symlink leads. */
  target: string | null
}

export interface LsResult {
  /** What the reference leads to. */
  cid: string
  entries: number
}

export interface CatOptions extends FetchingOptions {
  ref: string
  /** The first byte. Default 0. */
  offset?: number | undefined
  /** How many bytes at most. Default: all there are. */
  length?: number | undefined
  write: WriteBytes
}

export interface CatResult {
  cid: string
  bytes: number
}

export interface InfoOptions extends FetchingOptions {
  ref: string
}

export interface InfoResult {
  cid: string
  version: 0 | 1
  codec: string
  hash: string
  kind: EntryKind
  /** Of file content; what a folder's links say as long as `complete` is false. */
  bytes: number
  /** Different ones, and their size. */
  blocks: number
  blockBytes: number
  files: number
  folders: number
  /** Blocks on the longest way down, the root included. */
  depth: number
  /** False if the tree has more blocks than are looked at: then the figures are the least there are. */
  complete: boolean
  /** How files are cut, as far as it shows. */
  layout: {
    /** Of the largest leaf; null without content. */
    chunkBytes: number | null
    rawLeaves: boolean | null
    /** The most links of a file's node. */
    links: number | null
    sharded: boolean
    /** The import profile that all of this fits; null if none does. */
    profile: 'unixfs-v1-2025' | 'unixfs-v0-2015' | null
  }
  here: { blocks: number; blockBytes: number }
  /** null if nobody was asked. */
  providers: InfoProvider[] | null
}

export interface InfoProvider {
  peerId: string
  /** The one in use, or else the first that is known. */
  multiaddr: string
  path: 'loopback' | 'lan' | 'direct'
  connected: boolean
  rttMs: number | null
  /** Of a sample of blocks, how many it says that it has; null if it was not asked. */
  sample: { have: number; of: number } | null
}
