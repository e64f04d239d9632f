/** Operations under the hood: CAR files, single blocks, and what a DAG is made of. */

import type { FetchingOptions, OnEvent, OperationOptions, WriteBytes } from './operation.ts'

export interface CarExportOptions extends FetchingOptions {
  ref: string
  /** Where the file goes; undefined: to `write`. */
  output?: string | undefined
  /** Replace what stands there. Default false. */
  force?: boolean | undefined
  write?: WriteBytes | undefined
}

export interface CarExportResult {
  cid: string
  path: string | null
  blocks: number
  /** Of the file. */
  bytes: number
  /** The first block of a codec that is not read, so that what it links to is left out; null if there is none. */
  opaque: string | null
}

export interface CarImportOptions extends OperationOptions {
  /** The file; undefined: what comes as `content`. */
  path?: string | undefined
  content?: AsyncIterable<Uint8Array> | undefined
  /** Pin the roots. Default true. */
  pin?: boolean | undefined
  /** Takes each root once everything is durable. */
  onEvent?: OnEvent<ImportedRoot> | undefined
}

export interface ImportedRoot {
  cid: string
  pinned: boolean
  /** Why it could not be pinned, such as a block below it that is neither in the file nor here. */
  problem: string | null
}

export interface CarImportResult {
  version: 1 | 2
  roots: ImportedRoot[]
  /** In the file, and their bytes. */
  blocks: number
  blockBytes: number
}

export interface BlockOptions extends FetchingOptions {
  /** Its path leads to the block at its end. */
  ref: string
}

export interface BlockGetOptions extends BlockOptions {
  write: WriteBytes
}

export interface BlockStat {
  cid: string
  bytes: number
}

export interface BlockPutOptions extends OperationOptions {
  /** By its name (`dag/codecs.ts`). Default `raw`. */
  codec?: string | undefined
  /** Default `sha2-256`. */
  hash?: string | undefined
  /** Name it by CIDv0, as the `dag-pb` node that it has to be. Default false. */
  v0?: boolean | undefined
  content: AsyncIterable<Uint8Array>
}

export interface BlockRmOptions extends OperationOptions {
  cids: string[]
  /** A block that is not here is no failure. Default false. */
  force?: boolean | undefined
}

export interface BlockRmResult {
  removed: string[]
  failures: { cid: string; isHere: boolean; message: string }[]
}

export interface DagStatOptions extends FetchingOptions {
  refs: string[]
  /** Takes the figures of each DAG. */
  onEvent?: OnEvent<DagStat> | undefined
}

export interface DagStat {
  ref: string
  cid: string
  /** Different ones. */
  blocks: number
  blockBytes: number
  /** The first block of a codec that is not read, so that what it links to is not counted; null if there is none. */
  opaque: string | null
}

export interface DagStatResult {
  dags: DagStat[]
  /** Over all of them, each block counted once. */
  blocks: number
  blockBytes: number
}
