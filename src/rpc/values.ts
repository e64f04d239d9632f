/** Values of a call as they arrive: each is of the kind that its operation names, or the call is refused. */

import { isAbsolute } from 'node:path'
import { P2PError } from '../common/errors.ts'
import type { ValueKind } from '../node/value-kinds.ts'

/**
 * The values of an object, each of its kind.
 *
 * @param field - its name, for messages
 * @throws P2PError `usage` for a value of another kind, one that is missing, and one that is not listed
 */
export function readValues<T>(value: unknown, kinds: Readonly<Record<string, ValueKind>>, field: string): T {
  const values = readObject(value, field)
  for (const name of Object.keys(values)) {
    // Left out in silence it would change what the user gets.
    if (!Object.hasOwn(kinds, name)) throw malformed(`${field}.${name}`)
  }
  for (const [name, kind] of Object.entries(kinds)) readValue(values[name], kind, `${field}.${name}`)
  return values as T
}

/** The values that are sent: those listed, as far as they are set. */
export function pickValues(values: object, kinds: Readonly<Record<string, ValueKind>>): object {
  return Object.fromEntries(Object.entries(values).filter(([name]) => Object.hasOwn(kinds, name)))
}

/** @throws P2PError `usage` */
export function readValue(value: unknown, kind: ValueKind, name: string): unknown {
  if (!isOfKind(value, kind)) throw malformed(name)
  return value
}

/** @throws P2PError `usage` */
export function readObject(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw malformed(name)
}

export function malformed(name: string): P2PError {
  return new P2PError('usage', `"${name}" of the call is not what this p2p expects`, {
    hint: 'The command that holds the repo may be another version of p2p: end it, and run this command again.',
  })
}

function isOfKind(value: unknown, kind: ValueKind): boolean {
  if (typeof kind !== 'string') return kind.some((allowed) => allowed === value)
  if (kind.endsWith('?') && value === undefined) return true
  switch (kind) {
    case 'boolean':
    case 'boolean?':
      return typeof value === 'boolean'
    case 'number':
    case 'number?':
      return isNumber(value)
    case 'number or null':
    case 'number or null?':
      return value === null || isNumber(value)
    case 'string':
    case 'string?':
      return typeof value === 'string'
    case 'strings':
    case 'strings?':
      return Array.isArray(value) && value.every((one) => typeof one === 'string')
    case 'path':
    case 'path?':
      return isPath(value)
    case 'paths':
    case 'paths?':
      return Array.isArray(value) && value.every(isPath)
  }
}

/** JSON has fractions, and numbers that are too large for it come as Infinity: counts are neither. */
function isNumber(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** The holder has another current folder than its callers. */
function isPath(value: unknown): boolean {
  return typeof value === 'string' && isAbsolute(value) && !value.includes('\0')
}
