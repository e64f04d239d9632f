/** `p2p stop`: ends the server on this repo, and waits until it has ended. */

import { sleep } from '../../common/abort.ts'
import { errnoOf, P2PError } from '../../common/errors.ts'
import { SECOND_MS } from '../../common/units.ts'
import { type Context, runOperation } from '../context.ts'
import type { HoldFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

/** A server gives up closing after 8 seconds. */
const END_TIMEOUT_MS = 12 * SECOND_MS
const POLL_MS = 50

/** @throws P2PError `not-found` if no server runs, `timeout` if it does not end */
export async function stop(context: Context, { timeout }: HoldFlags): Promise<Outcome> {
  const stopped = await runOperation(context, { command: 'p2p stop', holdTimeoutMs: timeout }, 'stop', {})
  const { command, pid } = stopped
  for (let waitedMs = 0; isRunning(pid); waitedMs += POLL_MS) {
    if (waitedMs >= END_TIMEOUT_MS) {
      throw new P2PError('timeout', `\`${command}\` (pid ${pid}) has not ended after ${END_TIMEOUT_MS / SECOND_MS} s`, {
        hint: `End it with: kill -9 ${pid}. Nothing that was added is lost.`,
      })
    }
    await sleep(POLL_MS, { signal: context.signal })
  }
  return { result: { ...stopped }, summary: [`\`${command}\` (pid ${pid}) has ended.`] }
}

function isRunning(pid: number): boolean {
  try {
    // Signal 0 only asks.
    return process.kill(pid, 0)
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}
