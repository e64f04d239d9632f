/** A file that appears under its name once it is whole. Used by operations that write one piece after the other. */

import { open } from 'node:fs/promises'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { CID } from 'multiformats/cid'
import { localIoError } from '../common/errors.ts'
import { refuseExisting, refuseFolder, refuseSpecial, replaceTarget, temporaryPath } from './target.ts'

export interface WholeFileOptions {
  /** What it is made of; part of the name under which it is built beside the target. */
  root: CID
  /** Replace a file that stands there. */
  force: boolean
}

/**
 * Writes the pieces and makes them durable. Nothing is left of it if that fails.
 *
 * @returns the bytes written
 * @throws P2PError `target-exists`, `io`, `disk-full`; whatever `pieces` throws
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
    const bytes = await writePieces(temporary, pieces)
    if (!force) await refuseExisting(target)
    await replaceTarget(temporary, target)
    await syncFolder(dirname(target))
    return bytes
  } catch (error) {
    await rm(temporary, { force: true })
    throw localIoError(error, 'write', target)
  }
}

async function writePieces(path: string, pieces: AsyncIterable<Uint8Array>): Promise<number> {
  const file = await open(path, 'w', 0o666)
  try {
    let bytes = 0
    for await (const piece of pieces) {
      await file.writeFile(piece)
      bytes += piece.byteLength
    }
    await file.datasync()
    return bytes
  } finally {
    await file.close()
  }
}
