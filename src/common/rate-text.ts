/** A limit on what is sent or received, as people write it: `10MiB`, bytes a second, or `none`. */

import { KiB, MiB, parseBytes } from './units.ts'

/** Below that peers take this one for stalled: boxo wants 100 kbit/s of each. */
const MIN_BYTES_PER_SECOND = 16 * KiB

/** What a limit looks like, for hints. */
export const RATE_HINT = 'Write bytes a second with their unit, as in 512KiB or 10MiB, at least 16KiB; or "none".'

/** Bytes a second; null for `none`, undefined if the text is no limit. */
export function parseRate(text: string): number | null | undefined {
  if (text === 'none') return null
  const bytesPerSecond = parseBytes(text)
  return bytesPerSecond !== undefined && bytesPerSecond >= MIN_BYTES_PER_SECOND ? bytesPerSecond : undefined
}

/** The text that {@link parseRate} reads as this limit, to the byte. */
export function formatRate(bytesPerSecond: number | null): string {
  if (bytesPerSecond === null) return 'none'
  return bytesPerSecond % MiB === 0 ? `${bytesPerSecond / MiB}MiB` : `${bytesPerSecond / KiB}KiB`
}
