/** Things in a folder that are neither files, folders nor symlinks. */

import { execFileSync } from 'node:child_process'

/** Makes a named pipe, which Node has no call for. */
export function makePipe(path: string): void {
  execFileSync('sh', ['-c', 'mkfifo "$1"', 'sh', path])
}
