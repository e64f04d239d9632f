/** Bytes of a result on stdout, for commands whose result is no text. */

import { errnoOf, localIoError, P2PError } from '../common/errors.ts'
import type { WriteBytes } from '../node/api/operation.ts'
import type { Context } from './context.ts'

/**
 * A writer of bytes to stdout. It resolves once the reader has taken them, so that a slow one slows down what makes them.
 *
 * @param what - the command or flag that asks for it, for the message
 * @param options.hasOutput - whether `-o` takes a path
 * @throws P2PError `usage` with `--json`, whose events go to stdout
 */
export function stdoutWriter({ stdout, flags }: Context, what: string, { hasOutput = false } = {}): WriteBytes {
  if (flags.json) {
    throw new P2PError('usage', `--json cannot be combined with ${what}`, {
      hint: `stdout is either bytes or events: ${hasOutput ? 'give a path to -o, or ' : ''}leave out --json.`,
    })
  }
  return (bytes) =>
    new Promise((done, reject) => {
      stdout.write(bytes, (error) => {
        if (!error) done()
        // A reader that has gone is no failure, and is dealt with where the process is.
        else reject(errnoOf(error) === 'EPIPE' ? error : localIoError(error, 'write', 'stdout'))
      })
    })
}

/** @throws P2PError `usage` if stdout is a terminal, which bytes would garble */
export function refuseTerminal({ stdout }: Context, hint: string): void {
  if (stdout.isTTY === true) throw new P2PError('usage', 'Binary data is not written to a terminal', { hint })
}
