/** Waiting for what no event tells. */

import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 5

/** Resolves once the condition holds; rejects when the test is ended, as by its time limit. */
export async function until(
  { signal }: { signal: AbortSignal },
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  while (!(await condition())) await sleep(POLL_MS, undefined, { signal })
}
