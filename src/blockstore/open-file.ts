/** Opening and reading files when descriptors may run out. Called by the block stores. */

import { type FileHandle, open } from 'node:fs/promises'
import { type AbortOptions, sleep } from '../common/abort.ts'
import { errnoOf } from '../common/errors.ts'

/** As many tries, as far apart, as Kubo's flatfs makes. */
const TRIES = 6
const RETRY_MS = 200

/** `fs.open`, tried again for a while when this process (EMFILE) or the system (ENFILE) has no descriptor left. */
export async function openFile(path: string, flags: string, { signal }: AbortOptions = {}): Promise<FileHandle> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await open(path, flags, 0o600)
    } catch (error) {
      const errno = errnoOf(error)
      if ((errno !== 'EMFILE' && errno !== 'ENFILE') || attempt === TRIES) throw error
      await sleep(RETRY_MS, { signal })
    }
  }
}

/** `length` bytes from `offset` on, or fewer if the file ends before. */
export async function readAt(handle: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(length)
  let filled = 0
  while (filled < length) {
    const { bytesRead } = await handle.read(buffer, filled, length - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return buffer.subarray(0, filled)
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
