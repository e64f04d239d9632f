/**
 * What a node can do, as one interface: the commands call it. `node/open.ts` makes the one that holds the repo itself,
 * `rpc/` one that goes through whoever holds it.
 * Paths are absolute, options are values, progress is plain data, and failures are `P2PError`s.
 */

import type { ErrorCode } from '../common/errors.ts'
import type { ImportSwitches } from '../unixfs/import-settings.ts'
import type {
  BlockGetOptions,
  BlockOptions,
  BlockPutOptions,
  BlockRmOptions,
  BlockRmResult,
  BlockStat,
  CarExportOptions,
  CarExportResult,
  CarImportOptions,
  CarImportResult,
  DagStatOptions,
  DagStatResult,
} from './api/blocks.ts'
import type { ConfigSetOptions, ConfigSetResult } from './api/config.ts'
import type { CatOptions, CatResult, InfoOptions, InfoResult, LsOptions, LsResult } from './api/look.ts'
import type {
  ConnectOptions,
  ConnectResult,
  FindOptions,
  FindResult,
  IdResult,
  PeersResult,
  StatusOptions,
  StatusResult,
  StayOptions,
  StopResult,
} from './api/network.ts'
import type { FetchingOptions, OperationOptions, WriteBytes } from './api/operation.ts'
import type {
  GcOptions,
  GcResult,
  PinAddOptions,
  PinAddResult,
  PinLsOptions,
  PinLsResult,
  PinRmOptions,
  PinRmResult,
  RepoResult,
  VerifyOptions,
  VerifyResult,
} from './api/pins.ts'

/** A path on this machine, or bytes that arrive (stdin). */
export type AddSource = { path: string } | { name: string; content: AsyncIterable<Uint8Array> }

export interface AddOptions extends OperationOptions, ImportSwitches {
  /** Import files and folders whose name starts with a dot. Default false. */
  hidden?: boolean | undefined
  /** Patterns as in gitignore of what to leave out below each path. */
  ignore?: string[] | undefined
  /** Absolute paths of files with such patterns. */
  ignoreFiles?: string[] | undefined
  /** Import folders that have nothing in them. Default true. */
  emptyFolders?: boolean | undefined
  /** Import what links point to, in place of the links. Default false. */
  followLinks?: boolean | undefined
  /** Make one folder of all sources, which is the only root then. Default false. */
  wrap?: boolean | undefined
  /** Keep the permission bits of files and folders. Default false. */
  preserveMode?: boolean | undefined
  /** Keep when files, folders and links were changed. Default false. */
  preserveMtime?: boolean | undefined
  /** Permission bits for every file and folder, in place of its own. */
  mode?: number | undefined
  /** A time for every entry, in place of its own: seconds since 1970, with up to nine decimals. */
  mtime?: string | undefined
  /** Read files too that have not changed since they were added. Default false. */
  rehash?: boolean | undefined
  /** Keep the roots from garbage collection. Default true. */
  pin?: boolean | undefined
  /** What the pins are called. Default: as before, or else like the file or folder. */
  name?: string | undefined
  /** Copy file content into the store. If false, files are served from where they stand; streams are copied always. Default true. */
  copy?: boolean | undefined
  /** Called for each root once it is durable, in the order of the sources. */
  onRoot?: ((root: AddedRoot) => void) | undefined
}

export interface AddedRoot {
  /** The path as it was given, or the name of the stream; empty for the folder that `wrap` makes. */
  path: string
  cid: string
  /** Bytes of file content below the root. */
  bytes: number
}

export interface AddResult {
  roots: AddedRoot[]
  /** Sources that got no CID because something below them could not be read. */
  failures: AddFailure[]
  /** Entries left out because their name starts with a dot. */
  skippedHidden: number
  /** Where others fetch the roots from, best first: the addresses of the server on this repo. Empty if none is running. */
  servedAt: string[]
}

export interface AddFailure {
  path: string
  /** Of the first problem. */
  code: ErrorCode
  message: string
  /** All that is in the way as far as it is known, the first 1,000 in full. */
  problems: string[]
}

/** Where `get` puts what it fetches. */
export type GetTarget =
  /** Exactly this path. */
  | { kind: 'path'; path: string }
  /** Inside this folder, under the name that the reference suggests. */
  | { kind: 'inside'; folder: string }
  /**
   * In order to this writer; files only. From byte `offset` on (default 0), and only the blocks that hold that. `write`
   * resolves when more may be written.
   */
  | { kind: 'stream'; write: WriteBytes; offset?: number | undefined }

export interface GetOptions extends FetchingOptions {
  target: GetTarget
  /** Replace what stands at the target. */
  force?: boolean | undefined
  /** The same call has been made before, and its holder ended: a file that it had finished is the result. */
  resumed?: boolean | undefined
  pin?: boolean | undefined
  /** Keep a copy of the content in the store, besides the file. Default false. */
  copy?: boolean | undefined
  /** Tell others that this node has some of it, so that they fetch from here meanwhile. Default true. */
  seed?: boolean | undefined
}

interface GetPeerResult {
  peerId: string
  multiaddr: string
  path: 'loopback' | 'lan' | 'direct'
  bytes: number
  blocks: number
}

export interface GetResult {
  cid: string
  /** The path of the finished file or folder; null for a stream. */
  path: string | null
  /** Entries that were not made, such as links that lead outside the target: the first 1,000. */
  skipped: { name: string; reason: string }[]
  /** All of them. */
  skippedCount: number
  stats: {
    bytes: number
    /** Everything read from bitswap streams. */
    receivedBytes: number
    duplicateBytes: number
    blocks: number
    seconds: number
    peers: GetPeerResult[]
  }
}

/**
 * The operations whose options are plain values (`value-kinds.ts`) and, where they need them, `onEvent` for parts of the
 * result as they come, `content` for a stream from the caller, `write` for bytes of the result. How each is done, and
 * what of it another process may ask for, stands in `operations.ts`.
 */
interface Operations {
  /** @throws P2PError `bad-config` for a damaged identity */
  id(options: OperationOptions): Promise<IdResult>
  /** What is in a folder. @throws P2PError as `get` does, but for `target-exists` */
  ls(options: LsOptions): Promise<LsResult>
  /** The bytes of a file, or a part of them. @throws P2PError as `get` does for a stream; `usage` for a folder */
  cat(options: CatOptions): Promise<CatResult>
  /** What a reference leads to, how much of it is here, and who else has it. @throws P2PError as `ls` does */
  info(options: InfoOptions): Promise<InfoResult>
  /**
   * Writes a DAG as a CAR file, in an order that depends on it alone.
   * @throws P2PError as `get` does
   */
  'car-export'(options: CarExportOptions): Promise<CarExportResult>
  /**
   * Stores the blocks of a CAR file and pins its roots.
   * @throws P2PError `bad-data`, `limit`, `verification` with the place in the file; `not-found`, `io`, `disk-full`
   */
  'car-import'(options: CarImportOptions): Promise<CarImportResult>
  /** The bytes of one block, whatever it is. @throws P2PError as `get` does for a stream */
  'block-get'(options: BlockGetOptions): Promise<BlockStat>
  /** Stores one block, durable when it returns. @throws P2PError `usage`, `limit`, `bad-data`, `io`, `disk-full` */
  'block-put'(options: BlockPutOptions): Promise<BlockStat>
  /** @throws P2PError as `block-get` does */
  'block-stat'(options: BlockOptions): Promise<BlockStat>
  /** Removes blocks from the store. One that a pin holds stays, and is among the failures. @throws P2PError `io` */
  'block-rm'(options: BlockRmOptions): Promise<BlockRmResult>
  /** Counts the blocks of DAGs. @throws P2PError as `ls` does */
  'dag-stat'(options: DagStatOptions): Promise<DagStatResult>
  /** Whoever is connected. */
  peers(options: OperationOptions): Promise<PeersResult>
  /** Connects to a peer. @throws P2PError `bad-ref`, `network` */
  connect(options: ConnectOptions): Promise<ConnectResult>
  /** Looks for peers that have a root. @throws P2PError `bad-ref`, `no-provider`, `timeout` */
  find(options: FindOptions): Promise<FindResult>
  /** What is kept, and what serves it. */
  status(options: StatusOptions): Promise<StatusResult>
  /** Lets the server on this repo end. @throws P2PError `not-found` if there is none */
  stop(options: OperationOptions): Promise<StopResult>
  /** Changes a setting of the user, durably. @throws P2PError `usage`, `bad-config`, `io`, `disk-full` */
  'config-set'(options: ConfigSetOptions): Promise<ConfigSetResult>
  /** Goes on until the signal aborts, which is how it ends: keeps a caller with whoever holds the repo. */
  stay(options: StayOptions): Promise<never>
  /** Pins a reference, durable when it returns. @throws P2PError as `get` does, but for `target-exists` */
  'pin-add'(options: PinAddOptions): Promise<PinAddResult>
  /** Gives roots up, pinned or left by a download; their blocks go with the next `gc`. @throws P2PError `bad-ref`, `io` */
  'pin-rm'(options: PinRmOptions): Promise<PinRmResult>
  /** @throws P2PError `io` */
  'pin-ls'(options: PinLsOptions): Promise<PinLsResult>
  /** Removes what nobody needs. @throws P2PError `verification` if a pin cannot be walked: then nothing is removed */
  gc(options: GcOptions): Promise<GcResult>
  /** Hashes every block again and walks every pin. @throws P2PError `io` if something else than a block cannot be read */
  verify(options: VerifyOptions): Promise<VerifyResult>
  /** @throws P2PError `io` */
  repo(options: OperationOptions): Promise<RepoResult>
}

export type OperationName = keyof Operations
export type OptionsOf<Name extends OperationName> = Parameters<Operations[Name]>[0]
export type ResultOf<Name extends OperationName> = Awaited<ReturnType<Operations[Name]>>

export interface Api {
  /**
   * Imports files, folders and streams, makes them durable and pins them.
   * @throws P2PError `io`, `disk-full`, `not-found` for a path that does not exist
   */
  add(sources: AddSource[], options?: AddOptions): Promise<AddResult>
  /**
   * Fetches a reference into a file, folder or stream.
   * @throws P2PError `bad-ref`, `no-provider`, `not-found`, `timeout`, `network`, `target-exists`, `disk-full`, `io`,
   * `bad-data`
   */
  get(ref: string, options: GetOptions): Promise<GetResult>
  /** Any other operation. @throws P2PError as {@link Operations} says of it */
  run<Name extends OperationName>(name: Name, options: OptionsOf<Name>): Promise<ResultOf<Name>>
  /** Lets go of the repo and the network. */
  close(): Promise<void>
}
