/** What a command reads from stdin. */

import { fstatSync } from 'node:fs'
import { stdin } from 'node:process'

const STDIN_DESCRIPTOR = 0

/** stdin as a stream, opened when it is read. A folder, which Node takes for an end, is an error with code `EISDIR`. */
export const commandStdin: AsyncIterable<Uint8Array> & { isTTY: boolean } = {
  get isTTY() {
    return stdin.isTTY
  },
  [Symbol.asyncIterator]() {
    return fstatSync(STDIN_DESCRIPTOR).isDirectory() ? folderRead : stdin[Symbol.asyncIterator]()
  },
}

const folderRead: AsyncIterator<Uint8Array> = {
  next: async () => {
    throw Object.assign(new Error('it is a folder'), { code: 'EISDIR' })
  },
}
