/** The place of a result on the user's disk, and the name under which it is built beside it. Used by `output.ts`. */

import type { Stats } from 'node:fs'
import { chmod, lstat, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { errnoOf, localIoError, P2PError } from '../common/errors.ts'

const MAX_NAME_BYTES = 255
const CID_CHARACTERS = 12
const OLD = '.old'

/** Makes the folder that a result goes into, with those above it. @throws P2PError `io`, `disk-full` */
export async function ensureFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true })
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') throw notAFolder(folder)
    throw localIoError(error, 'make folder', folder)
  }
}

/** @throws P2PError `io` if the folder that the target is to stand in is not there, or is none */
export async function requireFolderOf(target: string): Promise<void> {
  const folder = dirname(target)
  const stats = await stat(folder).catch((error) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw localIoError(error, 'look at', folder)
  })
  if (stats?.isDirectory() === true) return
  if (stats !== undefined) throw notAFolder(folder)
  throw new P2PError('io', `There is no folder ${folder}`, {
    hint: 'Make it first (mkdir -p); a path that ends with a slash is made, and the result saved inside it.',
  })
}

function notAFolder(path: string): P2PError {
  return new P2PError('io', `${path} is not a folder`, { hint: 'Choose another path with -o.' })
}

/** @throws P2PError `target-exists` if anything is there, `io` if that cannot be told */
export async function refuseExisting(target: string): Promise<void> {
  const stats = await statsOf(target)
  if (stats === undefined) return
  if (isSpecial(stats)) throw specialError(target)
  throw new P2PError('target-exists', `${target} exists already`, {
    hint: stats.isDirectory()
      ? 'To save inside it, end the path with a slash; --force replaces it by another folder.'
      : 'Choose another path with -o, or replace it with --force.',
  })
}

/** @throws P2PError `target-exists` if what is there is never replaced: a device, a pipe, a socket */
export async function refuseSpecial(target: string): Promise<void> {
  const stats = await statsOf(target)
  if (stats !== undefined && isSpecial(stats)) throw specialError(target)
}

async function statsOf(target: string): Promise<Stats | undefined> {
  try {
    return await lstat(target)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw localIoError(error, 'look at', target)
  }
}

function isSpecial(stats: Stats): boolean {
  return !stats.isFile() && !stats.isDirectory() && !stats.isSymbolicLink()
}

function specialError(target: string): P2PError {
  return new P2PError('target-exists', `${target} is a device, a pipe or a socket, which is never replaced`, {
    hint: 'Choose another path with -o; "-o -" writes a file to stdout.',
  })
}

/** @throws P2PError `target-exists` if the target is a folder, which a file never replaces */
export async function refuseFolder(target: string): Promise<void> {
  const stats = await lstat(target).catch(() => undefined)
  if (stats?.isDirectory() !== true) return
  throw new P2PError('target-exists', `${target} is a folder and the result is a file`, {
    hint: 'To save inside it, end the path with a slash; a folder is never replaced by a file.',
  })
}

/** `.<name>.<end of the CID>.p2p` beside the target, the name cut so that all of it fits. */
export function temporaryPath(target: string, root: CID): string {
  const tail = `.${root.toString().slice(-CID_CHARACTERS)}.p2p`
  const room = MAX_NAME_BYTES - 1 - tail.length - OLD.length
  const kept = Buffer.from(basename(target))
    .subarray(0, room)
    .toString('utf8')
    .replace(/\uFFFD+$/, '')
  return join(dirname(target), `.${kept}${tail}`)
}

/** Puts what was built in the place of the target. The old one stands aside until the new one is there. */
export async function replaceTarget(temporary: string, target: string): Promise<void> {
  const aside = `${temporary}${OLD}`
  await removeTree(aside)
  const existed = await rename(target, aside).then(
    () => true,
    (error) => {
      if (errnoOf(error) === 'ENOENT') return false
      throw error
    },
  )
  try {
    await rename(temporary, target)
  } catch (error) {
    if (existed) await rename(aside, target)
    throw error
  }
  if (existed) await removeTree(aside)
}

/** Removes a file or a folder, also one whose folders nothing may be removed from. */
async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true })
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
    await openFolders(path)
    await rm(path, { recursive: true, force: true })
  }
}

async function openFolders(path: string): Promise<void> {
  await chmod(path, 0o700)
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await openFolders(join(path, entry.name))
  }
}

/** Bytes on disk of a file, or of everything in a folder; 0 if there is none. */
export async function allocatedBytes(path: string): Promise<number> {
  const stats = await lstat(path).catch(() => undefined)
  if (stats === undefined) return 0
  if (!stats.isDirectory()) return stats.blocks * 512
  let bytes = 0
  for (const name of await readdir(path)) bytes += await allocatedBytes(join(path, name))
  return bytes
}
