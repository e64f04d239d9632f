/** Making files and folders that survive a power cut. Called under the repo's lock. */

import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeFolderIn, syncFolder } from '../blockstore/open-file.ts'
import { errnoOf, localIoError } from '../common/errors.ts'

/** Of the name under which a file is written before it takes its place. */
export const TEMPORARY_SUFFIX = '.new'

/** Makes the folder and those above it that are missing, readable by their owner alone. */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await makeSynced(folder)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || dirname(folder) === folder) throw error
    await makeFolder(dirname(folder))
    // A folder in which nothing can be made says ENOENT too, as /proc does.
    await makeSynced(folder)
  }
}

async function makeSynced(folder: string): Promise<void> {
  if (await makeFolderIn(folder)) await syncFolder(dirname(folder))
}

/** Writes a file in one step: after a crash it is there whole, or not at all. Its owner alone can read it. */
export async function writeFileDurably(file: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${file}${TEMPORARY_SUFFIX}`
  // Left by a run that was killed here.
  await rm(temporary, { force: true })
  const handle = await open(temporary, 'wx', 0o600)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
  await syncFolder(dirname(file))
}

/** @throws P2PError `io` */
export async function removeFile(file: string): Promise<void> {
  try {
    await rm(file, { force: true })
  } catch (error) {
    throw localIoError(error, 'remove', file)
  }
}
