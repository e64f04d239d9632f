/** Progress of operations that get on in many small steps. */

import type { Clock } from '../../common/clock.ts'

const INTERVAL_MS = 100

/** Calls `report` when something has changed, at most ten times a second. */
export function paced(clock: Clock, report: () => void): () => void {
  let lastMs = Number.NEGATIVE_INFINITY
  return () => {
    const nowMs = clock.monotonicMs()
    if (nowMs - lastMs < INTERVAL_MS) return
    lastMs = nowMs
    report()
  }
}
