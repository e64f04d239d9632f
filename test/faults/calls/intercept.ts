/**
 * Runs programs with `intercept.c` between them and the system's file calls: what they did, and what they do when one
 * call fails or is their last.
 */

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const SOURCE = fileURLToPath(new URL('../../../../test/faults/calls/intercept.c', import.meta.url))

/** `create`: an open that may make the file. `fired`: the fault, with the name of its call in `second`. */
export type CallName =
  | 'open'
  | 'create'
  | 'read'
  | 'write'
  | 'ftruncate'
  | 'utimes'
  | 'fsync'
  | 'fdatasync'
  | 'rename'
  | 'link'
  | 'symlink'
  | 'unlink'
  | 'mkdir'
  | 'stdout'
  | 'fired'

/** The calls that change what is on the disk, or make a change last. */
export const CHANGING_CALLS: readonly CallName[] = [
  'create',
  'write',
  'ftruncate',
  'fsync',
  'fdatasync',
  'rename',
  'link',
  'symlink',
  'unlink',
  'mkdir',
]

/** One call on the watched folders, in the order in which they happened. */
export interface SystemCall {
  /** From 1, over the calls that are counted; 0 for others. */
  number: number
  name: CallName
  /** What it returned; negative: it failed. */
  result: number
  /** The number of the error that it failed with by itself; 0 if it did not. */
  errno: number
  /** Of the file, where the call has one open. */
  inode: string
  /** Its modification time after the call, in nanoseconds since 1970. */
  mtimeNs: bigint
  /** Of a write: where it landed. Of `ftruncate`: the new length. Of `create`: 1 if it cut the file. */
  offset: number
  path: string
  /** The new name of `rename` and `link`, the content of `symlink`. */
  second: string
  /** What was written, if data is recorded. */
  data: Buffer
}

export interface InterceptOptions {
  /** Absolute paths without links in them. */
  watched: string[]
  /** Where the calls are written down. */
  log: string
  /** Record what is written, and what goes to stdout. Default false. */
  withData?: boolean
  /** Count these calls alone. Default all. */
  counted?: readonly CallName[]
  fault?: Fault | undefined
  /** Count no call before this file is there. Default: count from the start. */
  armedBy?: string | undefined
  /** Answer every sync at once and do nothing. Default false. */
  withoutSyncs?: boolean
  /** A slow disk: each write takes so many milliseconds longer. Default 0. */
  writeDelayMs?: number
  /** A file with the id of the boot that the program is to believe it runs in. Default: the system's. */
  bootIdFile?: string | undefined
}

export interface Fault {
  /** The number of the call that it happens at. */
  at: number
  /** The errno name that the call fails with; left out: the process is killed before it. */
  errno?: 'ENOSPC' | 'EIO' | 'EMFILE' | 'EACCES'
}

/**
 * Compiles the library into the folder.
 *
 * @throws Error if this machine cannot: it is no Linux, or has no C compiler
 */
export async function buildIntercept(folder: string): Promise<string> {
  if (process.platform !== 'linux') throw new Error('Faults are injected on Linux alone')
  const library = join(folder, 'intercept.so')
  try {
    await promisify(execFile)('cc', ['-shared', '-fPIC', '-O2', '-o', library, SOURCE, '-ldl', '-lpthread'])
  } catch (cause) {
    throw new Error('Injecting faults needs a C compiler; on Debian: apt-get install gcc libc6-dev', { cause })
  }
  return library
}

/** The environment of a program that is intercepted. */
export function interceptEnv(library: string, options: InterceptOptions): Record<string, string> {
  const { watched, log, withData = false, counted, fault, armedBy, bootIdFile } = options
  const { withoutSyncs = false, writeDelayMs = 0 } = options
  return {
    LD_PRELOAD: library,
    // Its calls could be neither seen nor failed.
    UV_USE_IO_URING: '0',
    FAULTS_WATCHED: watched.join(':'),
    FAULTS_LOG: log,
    ...(withData && { FAULTS_DATA: '1' }),
    ...(withoutSyncs && { FAULTS_WITHOUT_SYNCS: '1' }),
    ...(writeDelayMs > 0 && { FAULTS_WRITE_DELAY: String(writeDelayMs * 1000) }),
    ...(bootIdFile && { FAULTS_BOOT_ID: bootIdFile }),
    ...(armedBy && { FAULTS_ARMED_BY: armedBy }),
    ...(counted && { FAULTS_CALLS: counted.join(',') }),
    ...(fault && { FAULTS_AT: String(fault.at) }),
    ...(fault?.errno && { FAULTS_ERRNO: String(constants.errno[fault.errno]) }),
  }
}

/** What was written down. */
export async function readCalls(log: string): Promise<SystemCall[]> {
  const bytes = await readFile(log)
  const calls: SystemCall[] = []
  for (let start = 0; start < bytes.length; ) {
    const lineEnd = bytes.indexOf('\n', start)
    const line = bytes.toString('utf8', start, lineEnd)
    const fields = /^(\d+) (\w+) (-?\d+) (\d+) (\d+) (\d+) (-?\d+) (\d+) ([^\t]*)\t(.*)$/.exec(line)
    if (fields === null) throw new Error(`This is no record of a call: ${line}`)
    const [, number, name, result, errno, inode = '', mtimeNs = '', offset, length, path = '', second = ''] = fields
    start = lineEnd + 1 + Number(length)
    calls.push({
      number: Number(number),
      name: name as CallName,
      result: Number(result),
      errno: Number(errno),
      inode,
      mtimeNs: BigInt(mtimeNs),
      offset: Number(offset),
      path,
      second,
      data: bytes.subarray(lineEnd + 1, start),
    })
  }
  return calls
}

/** The call at which the fault happened, or undefined if it did not. */
export function firedAt(calls: readonly SystemCall[]): SystemCall | undefined {
  return calls.find(({ name }) => name === 'fired')
}
