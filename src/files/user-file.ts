/** A file that the user names to be read as it is: whatever can be read there, in pieces. */

import { open } from 'node:fs/promises'
import type { AbortOptions } from '../common/abort.ts'
import { errnoOf, localIoError, P2PError } from '../common/errors.ts'
import { MiB } from '../common/units.ts'

/** @throws P2PError `not-found`, `io` */
export async function* readUserFile(path: string, { signal }: AbortOptions = {}): AsyncGenerator<Uint8Array> {
  try {
    const file = await open(path)
    try {
      for (;;) {
        signal?.throwIfAborted()
        const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(MiB), 0, MiB)
        if (bytesRead === 0) return
        yield buffer.subarray(0, bytesRead)
      }
    } finally {
      await file.close()
    }
  } catch (error) {
    signal?.throwIfAborted()
    if (errnoOf(error) === 'ENOENT') throw new P2PError('not-found', `${path} does not exist`, { cause: error })
    throw localIoError(error, 'read', path)
  }
}
