/** Opening and reading files when descriptors may run out. Called by the block stores. */

import * as fs from 'node:fs'
import { type FileHandle, mkdir, open, stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { type AbortOptions, sleep } from '../common/abort.ts'
import { errnoOf } from '../common/errors.ts'
import type { ReadOptions } from './blockstore.ts'

/** As many tries, as far apart, as Kubo's flatfs makes. */
const TRIES = 6
const RETRY_MS = 200

/** Files without a `FileHandle`, which costs more than many a read. */
export const descriptors = {
  open: promisify(fs.open),
  stat: promisify(fs.fstat),
  read: promisify(fs.read),
  close: promisify(fs.close),
}

/** `fs.open`, tried again for a while when this process (EMFILE) or the system (ENFILE) has no descriptor left. */
export async function openFile(path: string, flags: string, options?: AbortOptions): Promise<FileHandle> {
  return await retryWithoutDescriptors(() => open(path, flags, 0o600), options)
}

/**
 * All of a file, or undefined if there is none. On plain descriptors: for a file that is not there, as most that a
 * download looks for, that costs a third of what a `FileHandle` does.
 */
export async function readFileIfThere(path: string, options?: ReadOptions): Promise<Uint8Array | undefined> {
  let descriptor: number
  try {
    descriptor = await retryWithoutDescriptors(() => descriptors.open(path, 'r'), options)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    const { size } = await descriptors.stat(descriptor)
    const readMore: ReadMore = (buffer, done) => descriptors.read(descriptor, buffer, done, size - done, done)
    return await readFully(size, readMore, options)
  } finally {
    await descriptors.close(descriptor)
  }
}

async function retryWithoutDescriptors<T>(attemptOpen: () => Promise<T>, { signal }: AbortOptions = {}): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptOpen()
    } catch (error) {
      const errno = errnoOf(error)
      if ((errno !== 'EMFILE' && errno !== 'ENFILE') || attempt === TRIES) throw error
      await sleep(RETRY_MS, { signal })
    }
  }
}

/** `length` bytes from `offset` on, or fewer if the file ends before. */
export async function readAt(
  handle: FileHandle,
  { offset, length }: { offset: number; length: number },
  options?: ReadOptions,
): Promise<Uint8Array> {
  const readMore: ReadMore = (buffer, done) => handle.read(buffer, done, length - done, offset + done)
  return await readFully(length, readMore, options)
}

/** Reads into the buffer what comes after the bytes that are done. */
type ReadMore = (buffer: Uint8Array, done: number) => Promise<{ bytesRead: number }>

/** So many bytes, or fewer if there are no more. */
async function readFully(
  length: number,
  readMore: ReadMore,
  { allocate = Buffer.allocUnsafeSlow }: Pick<ReadOptions, 'allocate'> = {},
): Promise<Uint8Array> {
  const buffer = allocate(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await readMore(buffer, done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return buffer.subarray(0, done)
}

/**
 * Makes a folder in one that is there; its owner alone can read it. Not with `recursive`, which tells of a full disk that
 * the folder does not exist.
 *
 * @returns false if it was there already
 */
export async function makeFolderIn(folder: string): Promise<boolean> {
  try {
    await mkdir(folder, { mode: 0o700 })
    return true
  } catch (error) {
    const present = errnoOf(error) === 'EEXIST' ? await stat(folder).catch(() => undefined) : undefined
    if (present?.isDirectory() === true) return false
    throw error
  }
}

/** Makes the content of a file survive a power cut, and the time of its last change. */
export async function syncFile(path: string): Promise<void> {
  const handle = await openFile(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Makes what was created, renamed and removed in the folder survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await openFile(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
