/** What holds a download back, from what was measured while it ran. Pure; `get.ts` measures and reports. */

import type { HeldBackBy } from '../../common/progress.ts'
import { SECOND_MS } from '../../common/units.ts'

/** The state of a download at one moment. */
export interface LoadSample {
  /** Milliseconds of a clock that only goes forward. */
  atMs: number
  /** Blocks that peers were asked for and have not delivered. */
  inFlightBytes: number
  /** Content that has come and is not written yet. */
  queuedWriteBytes: number
  /** So far: time spent hashing. */
  hashMs: number
  /** So far: time in which what had come had to wait for the user's limit. */
  limitMs: number
}

/** Less tells nothing. */
const MIN_SPAN_MS = SECOND_MS
/** What takes so large a part of the time holds everything up. */
const DECISIVE_SHARE = 0.5

/**
 * The limit and the hash by their share of the time. Between peers and disk it is where the bytes wait: all of them are
 * at one or the other, and they gather before what is slower.
 *
 * @param samples - those of the last seconds, in order
 * @returns null while there are too few, or nothing is on its way
 */
export function heldBackBy(samples: readonly LoadSample[]): HeldBackBy | null {
  const first = samples[0]
  const last = samples.at(-1)
  if (first === undefined || last === undefined) return null
  const spanMs = last.atMs - first.atMs
  if (spanMs < MIN_SPAN_MS) return null
  if (last.limitMs - first.limitMs >= DECISIVE_SHARE * spanMs) return 'limit'
  if (last.hashMs - first.hashMs >= DECISIVE_SHARE * spanMs) return 'hash'
  let atPeers = 0
  let atDisk = 0
  for (const { inFlightBytes, queuedWriteBytes } of samples) {
    atPeers += inFlightBytes
    atDisk += queuedWriteBytes
  }
  if (atPeers + atDisk === 0) return null
  return atDisk > atPeers ? 'disk' : 'peer'
}
