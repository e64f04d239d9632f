/** Text from the command line -> values. Loaded for every command line, `--help` too, so it imports next to nothing. */

import { P2PError } from '../common/errors.ts'
import { parseRate, RATE_HINT } from '../common/rate-text.ts'
import { HOUR_MS, MINUTE_MS, parseBytes, SECOND_MS } from '../common/units.ts'

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

/** A whole number, 0 or more. @throws P2PError `usage` */
export function parseNumber(text: string, flag: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new P2PError('usage', `"${text}" is not a number that ${flag} takes`, { hint: 'Write it in digits, as 256.' })
}

/**
 * Permission bits in octal, `0644` or `0o644`. Kubo takes `644` for a decimal number, which is never what was meant.
 *
 * @throws P2PError `usage`
 */
export function parseMode(text: string, flag: string): number {
  const match = /^0o?([0-7]{1,5})$/.exec(text)
  if (match !== null) return Number.parseInt(match[1]!, 8)
  throw new P2PError('usage', `"${text}" is not a file mode that ${flag} takes`, {
    hint: 'Write it in octal with a zero in front, as 0644.',
  })
}

/**
 * `100`, `64KiB` or `1.5MiB` -> bytes.
 *
 * @param flag - the flag it was given to, for the message
 * @throws P2PError `usage`
 */
export function parseSize(text: string, flag: string): number {
  const bytes = /^\d{1,15}$/.test(text) ? Number(text) : parseBytes(text)
  if (bytes !== undefined && Number.isSafeInteger(bytes)) return bytes
  throw new P2PError('usage', `"${text}" is not a size that ${flag} takes`, {
    hint: 'Write a number of bytes, or one with its unit, as in 64KiB or 10MiB.',
  })
}

/**
 * `12` -> 12.
 *
 * @param flag - the flag it was given to, for the message
 * @throws P2PError `usage` for anything but a whole number above zero
 */
export function parseCount(text: string, flag: string): number {
  const count = Number(text)
  if (/^\d+$/.test(text) && count > 0 && Number.isSafeInteger(count)) return count
  throw new P2PError('usage', `"${text}" is not a number that ${flag} takes`, {
    hint: 'Write a whole number above zero.',
  })
}

/** Flags of the commands that need the repo. */
export interface HoldFlags {
  /** Longest wait for a holder that does not answer, in milliseconds. */
  timeout?: number
}

/** Flags of the commands that fetch what is not here. */
export interface FetchingFlags extends HoldFlags {
  peer?: string[]
}

/** Flags of the commands that exchange blocks; null for no limit. */
export interface LimitFlags {
  limitUp?: number | null
  limitDown?: number | null
  limitLan?: boolean
}

/**
 * `512KiB` or `10MiB` -> bytes a second; `none` -> null.
 *
 * @param setting - the flag or variable it was given to, for the message
 * @throws P2PError `usage`; also for less than 16 KiB a second
 */
export function parseLimit(text: string, setting: string): number | null {
  const limit = parseRate(text)
  if (limit !== undefined) return limit
  throw new P2PError('usage', `"${text}" is not a limit that ${setting} takes`, { hint: RATE_HINT })
}

/**
 * What flags, and where they are silent the environment, say about limits; undefined leaves it to the configuration.
 *
 * @throws P2PError `usage`
 */
export function limitsFrom(
  { limitUp, limitDown, limitLan }: LimitFlags,
  { P2P_LIMIT_UP, P2P_LIMIT_DOWN, P2P_LIMIT_LAN }: Readonly<Record<string, string | undefined>>,
): { up?: number | null | undefined; down?: number | null | undefined; lan?: boolean | undefined } {
  return {
    up: limitUp === undefined && P2P_LIMIT_UP ? parseLimit(P2P_LIMIT_UP, 'P2P_LIMIT_UP') : limitUp,
    down: limitDown === undefined && P2P_LIMIT_DOWN ? parseLimit(P2P_LIMIT_DOWN, 'P2P_LIMIT_DOWN') : limitDown,
    lan: limitLan === undefined && P2P_LIMIT_LAN ? parseSwitch(P2P_LIMIT_LAN, 'P2P_LIMIT_LAN') : limitLan,
  }
}

function parseSwitch(text: string, setting: string): boolean {
  if (text === '1' || text === '0') return text === '1'
  throw new P2PError('usage', `"${text}" is nothing that ${setting} takes`, { hint: 'Write 1 for yes or 0 for no.' })
}

/** Collects a flag that may be given several times. */
export function collect(value: string, earlier: string[] | undefined): string[] {
  return [...(earlier ?? []), value]
}
