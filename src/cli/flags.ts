/** Text from the command line -> values. Loaded for every command line, `--help` too, so it imports next to nothing. */

import { P2PError } from '../common/errors.ts'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../common/units.ts'

/** Flags that every command takes, before or after its name. */
export interface GlobalFlags {
  json: boolean
  quiet: boolean
  verbose: boolean
  progress: boolean
  color: boolean
  offline: boolean
  repo?: string | undefined
  bootstrap?: string[] | undefined
}

const DURATION_UNITS_MS = { ms: 1, s: SECOND_MS, m: MINUTE_MS, h: HOUR_MS } as const

/** Timers of Node hold 31 bits of milliseconds. */
const MAX_DURATION_MS = 2 ** 31 - 1

/**
 * `500ms`, `8s`, `1.5m` or `1h` -> milliseconds.
 *
 * @param flag - the flag it was given to, for the message
 * @throws P2PError `usage`; also for zero and for more than 24 days
 */
export function parseDuration(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text)
  const unit = match?.[2] as keyof typeof DURATION_UNITS_MS | undefined
  const ms = unit === undefined ? 0 : Math.round(Number(match?.[1]) * DURATION_UNITS_MS[unit])
  if (ms > 0 && ms <= MAX_DURATION_MS) return ms
  throw new P2PError('usage', `"${text}" is not a duration that ${flag} takes`, {
    hint: 'Write a number above zero and its unit, as in 500ms, 8s, 5m or 1h; 24 days are the most.',
  })
}

/** Collects a flag that may be given several times. */
export function collect(value: string, earlier: string[] | undefined): string[] {
  return [...(earlier ?? []), value]
}
