/** A file that appears under its name once it is whole. Used by operations that write one piece after the other. */

import { open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { CID } from 'multiformats/cid'
import { syncFolder } from '../blockstore/open-file.ts'
import { localIoError } from '../common/errors.ts'
import { refuseExisting, refuseFolder, refuseSpecial, replaceTarget, temporaryPath } from './target.ts'

export interface WholeFileOptions {
  /** What it is made of; part of the name under which it is built beside the target. */
  root: CID
  /** Replace a file that stands there. */
  force: boolean
}

/**
 * Writes the pieces and makes them durable. If that fails nothing is left of it.
 *
 * @returns the bytes written
 * @throws P2PError `target-exists` before anything is taken, `io`, `disk-full`; whatever `pieces` throws
 */
export async function writeWholeFile(
  target: string,
  pieces: AsyncIterable<Uint8Array>,
  { root, force }: WholeFileOptions,
): Promise<number> {
  if (force) await refuseSpecial(target)
  else await refuseExisting(target)
  await refuseFolder(target)
  const temporary = temporaryPath(target, root)
  try {
    const bytes = await writePieces(temporary, target, pieces)
    if (!force) await refuseExisting(target)
    await replaceTarget(temporary, target)
    await syncFolder(dirname(target))
    return bytes
  } finally {
    await rm(temporary, { force: true })
  }
}

async function writePieces(path: string, target: string, pieces: AsyncIterable<Uint8Array>): Promise<number> {
  const writing = async <T>(action: () => Promise<T>): Promise<T> => {
    try {
      return await action()
    } catch (error) {
      throw localIoError(error, 'write', target)
    }
  }
  // One that was left, or put there by somebody else, is not written to.
  await writing(() => rm(path, { force: true }))
  const file = await writing(() => open(path, 'wx'))
  try {
    let bytes = 0
    for await (const piece of pieces) {
      await writing(() => file.writeFile(piece))
      bytes += piece.byteLength
    }
    await writing(() => file.datasync())
    return bytes
  } finally {
    await file.close()
  }
}
