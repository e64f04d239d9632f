/** A bound for work that may never end and cannot be cancelled, such as closing what hangs. */

import { sleep } from './abort.ts'

/**
 * Waits for `work`, but at most `ms` milliseconds. The work itself goes on.
 *
 * @returns false if the time ran out
 * @throws what the work throws
 */
export async function endsWithin(work: Promise<unknown>, ms: number): Promise<boolean> {
  const finished = new AbortController()
  const timeUp = sleep(ms, { signal: finished.signal }).then(
    () => false,
    () => true,
  )
  try {
    return await Promise.race([work.then(() => true), timeUp])
  } finally {
    finished.abort()
  }
}
