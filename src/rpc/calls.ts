/**
 * The calls of the socket: from options to JSON and back. Operations of the table (`node/operations.ts`) cross it alike,
 * and nothing about them stands here; `add` and `get` alone have arguments that are more than plain values.
 */

import type {
  AddedRoot,
  AddOptions,
  AddSource,
  Api,
  GetOptions,
  GetTarget,
  OperationName,
  OptionsOf,
} from '../node/api.ts'
import { OPERATIONS, optionKinds } from '../node/operations.ts'
import type { OptionKinds } from '../node/value-kinds.ts'
import type { ServedChannels } from './channels.ts'
import type { Frame } from './frames.ts'
import type { NetworkWishes } from './network-wishes.ts'
import { MAX_ADD_CALL_BYTES, MAX_CALL_BYTES } from './protocol.ts'
import { malformed, readObject, readValue, readValues } from './values.ts'

interface ServedOperation {
  maxCallBytes: number
  /** @throws P2PError `usage` for arguments that are none, and whatever the operation throws */
  run(api: Api, call: Frame, channels: ServedChannels): Promise<object>
}

export const ADD_OPTIONS = {
  hidden: 'boolean?',
  ignore: 'strings?',
  ignoreFiles: 'paths?',
  emptyFolders: 'boolean?',
  followLinks: 'boolean?',
  wrap: 'boolean?',
  rehash: 'boolean?',
  preserveMode: 'boolean?',
  preserveMtime: 'boolean?',
  mode: 'number?',
  mtime: 'string?',
  profile: 'string?',
  cidVersion: 'number?',
  rawLeaves: 'boolean?',
  chunker: 'string?',
  trickle: 'boolean?',
  maxFileLinks: 'number?',
  maxDirectoryLinks: 'number?',
  maxHamtFanout: 'number?',
  hash: 'string?',
  inline: 'boolean?',
  inlineLimit: 'number?',
  pin: 'boolean?',
  name: 'string?',
  copy: 'boolean?',
} as const satisfies OptionKinds<AddOptions, 'onRoot'>

export const GET_OPTIONS = {
  peers: 'strings?',
  timeoutMs: 'number?',
  force: 'boolean?',
  resumed: 'boolean?',
  pin: 'boolean?',
  copy: 'boolean?',
  seed: 'boolean?',
  offline: 'boolean?',
} as const satisfies OptionKinds<GetOptions, 'target'>

const NETWORK_WISHES = {
  bootstrap: 'strings?',
  seed: 'boolean?',
  limitUp: 'number or null?',
  limitDown: 'number or null?',
  limitLan: 'boolean?',
} as const satisfies OptionKinds<NetworkWishes>

export type WireSource = { path: string } | { stream: string }
export type WireTarget = { path: string } | { folder: string } | { stream: { offset: number } }

const ADD: ServedOperation = {
  maxCallBytes: MAX_ADD_CALL_BYTES,
  run: async (api, call, { content, onEvent, signal, onProgress }) =>
    await api.add(readSources(call.sources, content), {
      ...readValues<Omit<AddOptions, 'onRoot'>>(call.options ?? {}, ADD_OPTIONS, 'options'),
      signal,
      onProgress,
      onRoot: (root: AddedRoot) => void onEvent(root),
    }),
}

const GET: ServedOperation = {
  maxCallBytes: MAX_CALL_BYTES,
  run: async (api, call, { write, signal, onProgress }) =>
    await api.get(readValue(call.ref, 'string', 'ref') as string, {
      ...readValues<Omit<GetOptions, 'target'>>(call.options ?? {}, GET_OPTIONS, 'options'),
      signal,
      onProgress,
      target: readTarget(call.target, write),
    }),
}

export function findOperation(name: string): ServedOperation | undefined {
  if (name === 'add') return ADD
  if (name === 'get') return GET
  return Object.hasOwn(OPERATIONS, name) ? served(name as OperationName) : undefined
}

function served<Name extends OperationName>(name: Name): ServedOperation {
  const { maxCallBytes = MAX_CALL_BYTES } = OPERATIONS[name]
  return {
    maxCallBytes,
    run: async (api, call, { content, ...channels }) => {
      const values = readValues<object>(call.options ?? {}, optionKinds(name), 'options')
      const stream = call.content === true ? { content } : {}
      return await api.run(name, { ...values, ...channels, ...stream } as OptionsOf<Name>)
    },
  }
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
    return { name: readValue(source.stream, 'string', 'sources') as string, content }
  })
}

function readTarget(value: unknown, write: ServedChannels['write']): GetTarget {
  const { path, folder, stream } = readObject(value, 'target')
  if (path !== undefined) return { kind: 'path', path: readPath(path, 'target') }
  if (folder !== undefined) return { kind: 'inside', folder: readPath(folder, 'target') }
  const { offset } = readObject(stream, 'target')
  return { kind: 'stream', write, offset: readValue(offset, 'number', 'target') as number }
}

function readPath(value: unknown, name: string): string {
  return readValue(value, 'path', name) as string
}
