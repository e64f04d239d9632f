/**
 * The one error class of the product. Core code throws it; only `cli/main.ts` prints it and turns its code into an
 * exit code (`cli/exit-codes.ts`). Match on `code`, never on the message.
 */

export const ERROR_CODES = [
  'usage', // an argument or flag that cannot be understood
  'bad-ref', // a malformed CID, link, path or multiaddr
  'bad-config', // a configuration file or value that is refused
  'not-found', // a path to add or in the DAG does not exist, or the block is not in the store (offline)
  'no-provider', // nobody who has the content was found
  'timeout', // no progress for as long as the user allowed
  'repo-held', // another process holds the repo
  'repo-version', // the repo has a version this program does not know
  'network', // a peer that was named cannot be reached, a port cannot be listened on
  'io', // a local file or folder cannot be read or written
  'disk-full',
  'verification', // bytes that do not match their CID
  'bad-data', // verified bytes that are not valid UnixFS, or break a limit of ours
  'target-exists',
  'partial', // some of what was asked for is done, some failed
  'limit',
  'aborted', // ended by the user
  'internal',
] as const

export type ErrorCode = (typeof ERROR_CODES)[number]

export interface P2PErrorOptions {
  /** What the user can do next, one sentence. */
  hint?: string | undefined
  cause?: unknown
}

export class P2PError extends Error {
  override readonly name = 'P2PError'
  readonly code: ErrorCode
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, options: P2PErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.hint = options.hint
  }
}

/** Whatever is not ours is a defect of this program, and its stack is what helps to mend it. */
export function asP2PError(error: unknown): P2PError {
  if (error instanceof P2PError) return error
  const message = `Unexpected: ${messageOf(error)}`
  return new P2PError('internal', message, { hint: 'This is a defect of p2p; --verbose shows where.', cause: error })
}

/** True for an error of ours with one of these codes. */
export function hasCode(error: unknown, ...codes: ErrorCode[]): error is P2PError {
  return error instanceof P2PError && codes.includes(error.code)
}

/** The errno name (`ENOENT`, `ENOSPC`, …) of a system error, if it has one. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** What the system's usual errors mean for a path. */
const REASONS = new Map([
  ['EACCES', 'permission denied'],
  ['EBUSY', 'it is in use'],
  ['EEXIST', 'something is there already'],
  ['EIO', 'an input/output error'],
  ['EISDIR', 'it is a folder'],
  ['ELOOP', 'it is a link, or leads through too many'],
  ['EMFILE', 'too many files are open'],
  ['ENAMETOOLONG', 'a name is too long for this file system'],
  ['ENFILE', 'too many files are open on this machine'],
  ['ENOENT', 'it does not exist'],
  ['ENOTDIR', 'part of the path is not a folder'],
  ['ENOTEMPTY', 'the folder is not empty'],
  ['EPERM', 'not permitted'],
  ['EROFS', 'the file system is read-only'],
])

/**
 * Turns a system error about a local path into ours: a full disk is `disk-full`, all else is `io`. Errors that are ours
 * already pass through, so it can wrap a whole block of file work.
 *
 * @param action - what was being done, as in "write the block store"
 */
export function localIoError(error: unknown, action: string, path: string): P2PError {
  if (error instanceof P2PError) return error
  const errno = errnoOf(error)
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    return new P2PError('disk-full', `Cannot ${action} ${path}: the disk is full`, {
      hint: 'Free some space and run the same command again; nothing that was verified is lost.',
      cause: error,
    })
  }
  const known = REASONS.get(errno ?? '')
  const reason = known === undefined ? (errno ?? messageOf(error)) : `${known} (${errno})`
  return new P2PError('io', `Cannot ${action} ${path}: ${reason}`, { cause: error })
}
