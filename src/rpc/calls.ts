/**
 * The operations of the socket: what of a call's options crosses it as JSON, and its check on arrival. A new operation
 * is one entry in {@link OPERATIONS} and a method in `client.ts`; a new option that is not listed here does not compile.
 */

import { isAbsolute } from 'node:path'
import { P2PError } from '../common/errors.ts'
import type { OnProgress } from '../common/progress.ts'
import type { AddOptions, AddSource, Api, GetOptions, GetTarget } from '../node/api.ts'
import type { Frame } from './frames.ts'
import type { NetworkWishes } from './network-wishes.ts'
import { MAX_ADD_CALL_BYTES, MAX_CALL_BYTES } from './protocol.ts'

/** What an operation has of the connection it was asked for on. */
interface Connection {
  signal: AbortSignal
  onProgress: OnProgress
  /** Sends an event that is none of progress. */
  event(type: string, fields: object): void
  /** The stream that the call names. Can be read once. */
  content: AsyncIterable<Uint8Array>
  /** Sends bytes of the result; resolves when the caller has taken them. */
  write(bytes: Uint8Array): Promise<void>
}

interface Operation {
  maxCallBytes: number
  /** @throws P2PError `usage` for arguments that are none, and whatever the operation throws */
  run(api: Api, call: Frame, connection: Connection): Promise<object>
}

type ValueKind = 'boolean' | 'number' | 'number or null' | 'string' | 'strings'
type KindOf<T> = T extends boolean ? 'boolean' : T extends number ? 'number' : T extends string ? 'string' : 'strings'
/** Every option of `T` that is a plain value, with its kind. */
type OptionKinds<T, NotSent extends keyof T> = {
  [K in Exclude<keyof T, NotSent | 'signal' | 'onProgress'>]-?: KindOf<NonNullable<T[K]>>
}

export const ADD_OPTIONS = { hidden: 'boolean', pin: 'boolean', copy: 'boolean' } as const satisfies OptionKinds<
  AddOptions,
  'onRoot'
>

export const GET_OPTIONS = {
  peers: 'strings',
  timeoutMs: 'number',
  force: 'boolean',
  resumed: 'boolean',
  pin: 'boolean',
  copy: 'boolean',
  seed: 'boolean',
  offline: 'boolean',
} as const satisfies OptionKinds<GetOptions, 'target'>

const NETWORK_WISHES = {
  bootstrap: 'strings',
  seed: 'boolean',
  limitUp: 'number or null',
  limitDown: 'number or null',
  limitLan: 'boolean',
} as const satisfies Record<keyof NetworkWishes, ValueKind>

/** The options that are sent: those listed, as far as they are set. */
export function pickOptions<T extends object>(options: T, kinds: Record<string, ValueKind>): object {
  return Object.fromEntries(Object.entries(options).filter(([name]) => Object.hasOwn(kinds, name)))
}

export type WireSource = { path: string } | { stream: string }
export type WireTarget = { path: string } | { folder: string } | { stream: { offset: number } }

const OPERATIONS = new Map<string, Operation>([
  [
    'add',
    {
      maxCallBytes: MAX_ADD_CALL_BYTES,
      run: async (api, call, { content, event, ...options }) =>
        await api.add(readSources(call.sources, content), {
          ...readOptions<Omit<AddOptions, 'onRoot'>>(call.options, ADD_OPTIONS),
          ...options,
          onRoot: (root) => event('root', root),
        }),
    },
  ],
  [
    'get',
    {
      maxCallBytes: MAX_CALL_BYTES,
      run: async (api, call, { write, ...options }) =>
        await api.get(readString(call.ref, 'ref'), {
          ...readOptions<Omit<GetOptions, 'target'>>(call.options, GET_OPTIONS),
          ...options,
          target: readTarget(call.target, write),
        }),
    },
  ],
])

export function findOperation(name: string): Operation | undefined {
  return OPERATIONS.get(name)
}

/** What the caller was told about the network; undefined if it needs none. */
export function readWishes({ network }: Frame): NetworkWishes | undefined {
  return network === undefined ? undefined : readValues<NetworkWishes>(network, NETWORK_WISHES, 'network')
}

function readSources(value: unknown, content: AsyncIterable<Uint8Array>): AddSource[] {
  if (!Array.isArray(value)) throw malformed('sources')
  let hasStream = false
  return value.map((source: Partial<{ path: unknown; stream: unknown }> | null) => {
    if (source?.stream === undefined) return { path: readPath(source?.path, 'sources') }
    if (hasStream) throw malformed('sources')
    hasStream = true
    return { name: readString(source.stream, 'sources'), content }
  })
}

function readTarget(value: unknown, write: Connection['write']): GetTarget {
  const { path, folder, stream } = readObject(value, 'target')
  if (path !== undefined) return { kind: 'path', path: readPath(path, 'target') }
  if (folder !== undefined) return { kind: 'inside', folder: readPath(folder, 'target') }
  const { offset } = readObject(stream, 'target')
  return { kind: 'stream', write, offset: readValue(offset, 'number', 'target') as number }
}

function readOptions<T>(value: unknown, kinds: Record<string, ValueKind>): T {
  return value === undefined ? ({} as T) : readValues<T>(value, kinds, 'options')
}

function readValues<T>(value: unknown, kinds: Record<string, ValueKind>, field: string): T {
  const values = readObject(value, field)
  for (const [name, one] of Object.entries(values)) {
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined
    // Left out in silence it would change what the user gets.
    if (kind === undefined) throw malformed(`${field}.${name}`)
    readValue(one, kind, `${field}.${name}`)
  }
  return values as T
}

const IS_KIND: Record<ValueKind, (value: unknown) => boolean> = {
  boolean: (value) => typeof value === 'boolean',
  number: isNumber,
  'number or null': (value) => value === null || isNumber(value),
  string: (value) => typeof value === 'string',
  strings: (value) => Array.isArray(value) && value.every((one) => typeof one === 'string'),
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number' && value >= 0
}

function readValue(value: unknown, kind: ValueKind, name: string): unknown {
  if (!IS_KIND[kind](value)) throw malformed(name)
  return value
}

function readObject(value: unknown, name: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw malformed(name)
}

function readString(value: unknown, name: string): string {
  return readValue(value, 'string', name) as string
}

/** The holder has another current folder than its callers. */
function readPath(value: unknown, name: string): string {
  const path = readString(value, name)
  if (isAbsolute(path) && !path.includes('\0')) return path
  throw malformed(name)
}

function malformed(name: string): P2PError {
  return new P2PError('usage', `"${name}" of the call is not what this p2p expects`, {
    hint: 'The command that holds the repo may be another version of p2p: end it, and run this command again.',
  })
}
