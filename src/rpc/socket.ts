/**
 * Where the socket of a repo is, and that it is ours: `<repo>/api.sock`, or, where that path is longer than the system
 * takes, a socket in a private folder elsewhere that `<repo>/api.sock` is a symbolic link to, so that it is found
 * whatever the environment of the finder. Used by `server.ts` to listen and by `client.ts` to find the holder.
 */

import { createHash } from 'node:crypto'
import { chmodSync, type Stats } from 'node:fs'
import { lstat, mkdir, readlink, realpath, rm, symlink } from 'node:fs/promises'
import type { Server } from 'node:net'
import { dirname, join } from 'node:path'
import { errnoOf, localIoError, P2PError } from '../common/errors.ts'

const SOCKET_NAME = 'api.sock'
/** Systems take 103 (macOS) or 107 bytes (Linux), and Node cuts longer paths without a word. */
const MAX_PATH_BYTES = 100

export interface SocketPlaces {
  /** The user that this process acts for; undefined where the system has no such numbers. */
  userId: number | undefined
  /** `$XDG_RUNTIME_DIR` */
  runtimeDir: string | undefined
  tempDir: string
}

/** Something of others stands where the socket belongs: it is neither used nor gone around. */
export class UntrustedPlace extends P2PError {}

/** The right to listen, which comes with holding the repo. */
export interface Claim {
  listen(server: Server): Promise<void>
  /** Removes the socket. Must be called while the repo is still held. */
  release(): Promise<void>
}

/**
 * The socket of whoever holds the repo, or has held it; undefined if there is none.
 *
 * @throws UntrustedPlace if it belongs to another user, P2PError `io`
 */
export async function findSocket(dataDir: string, { userId }: SocketPlaces): Promise<string | undefined> {
  try {
    const entry = join(await realpath(dataDir), SOCKET_NAME)
    const stats = await lstat(entry)
    assertOwn(entry, stats, userId)
    if (!stats.isSymbolicLink()) return stats.isSocket() ? entry : undefined
    const path = await readlink(entry)
    assertPrivate(dirname(path), await lstat(dirname(path)), userId)
    assertOwn(path, await lstat(path), userId)
    return path
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw localIoError(error, 'look into the repo', dataDir)
  }
}

/**
 * Prepares the place of the socket; what an earlier holder has left there is removed.
 *
 * @throws UntrustedPlace if something of another user is in the way, P2PError `io` if there is no place for a socket
 */
export async function claimSocket(dataDir: string, places: SocketPlaces): Promise<Claim> {
  try {
    const folder = await realpath(dataDir)
    const entry = join(folder, SOCKET_NAME)
    await removeOwn(entry, places.userId)
    const path = fits(entry) ? entry : await privatePath(folder, places)
    if (path !== entry) await symlink(path, entry)
    return {
      listen: (server) => listen(server, path),
      release: async () => {
        await rm(entry, { force: true })
        await rm(path, { force: true })
      },
    }
  } catch (error) {
    throw localIoError(error, 'make the socket in', dataDir)
  }
}

/** A path in a folder that is the user's alone, named after the repo. */
async function privatePath(dataDir: string, { userId, runtimeDir, tempDir }: SocketPlaces): Promise<string> {
  const name = `${createHash('sha256').update(dataDir).digest('hex').slice(0, 32)}.sock`
  const own = `p2p-${userId ?? 'user'}`
  const folders = [
    ...(runtimeDir === undefined ? [] : [join(runtimeDir, 'p2p')]),
    join(tempDir, own),
    join('/tmp', own),
  ]
  for (const folder of folders) {
    const path = join(folder, name)
    if (!fits(path) || !(await makePrivateFolder(folder, userId))) continue
    await removeOwn(path, userId)
    return path
  }
  throw new P2PError('io', `No folder has a path short enough for a socket: ${folders.join(', ')} were tried`)
}

/** False if it cannot be made there. @throws UntrustedPlace if others can get at it */
async function makePrivateFolder(folder: string, userId: number | undefined): Promise<boolean> {
  try {
    await mkdir(folder, { mode: 0o700 })
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') return false
  }
  assertPrivate(folder, await lstat(folder), userId)
  return true
}

async function removeOwn(path: string, userId: number | undefined): Promise<void> {
  try {
    assertOwn(path, await lstat(path), userId)
    await rm(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

function assertOwn(path: string, { uid }: Stats, userId: number | undefined): void {
  if (userId === undefined || uid === userId) return
  throw new UntrustedPlace('io', `${path} belongs to another user (id ${uid})`, {
    hint: 'It is not used: whoever made it could read and change what you do. Remove it, or choose another repo with --repo <folder>.',
  })
}

function assertPrivate(folder: string, stats: Stats, userId: number | undefined): void {
  assertOwn(folder, stats, userId)
  if (stats.isDirectory() && (stats.mode & 0o077) === 0) return
  throw new UntrustedPlace('io', `${folder} is not a folder of yours alone`, {
    hint: `Run "chmod 700 ${folder}", or choose a repo with a shorter path with --repo <folder>.`,
  })
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(localIoError(error, 'listen at', path)))
    server.listen(path, resolve)
    // The socket is there already, and nobody has been let in before this has returned.
    if (server.listening) chmodSync(path, 0o600)
  })
}

function fits(path: string): boolean {
  return Buffer.byteLength(path) <= MAX_PATH_BYTES
}
