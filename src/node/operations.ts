/**
 * The table of operations: each one's logic, loaded when it runs, and what of its options another process may send.
 *
 * A new operation is its types in `api/` and a line in `Operations` (`api.ts`), its logic in `operations/`, and an entry
 * here. It then works on the node that holds the repo and through the socket, and is called with `Api.run`.
 */

import { MiB } from '../common/units.ts'
import type { OperationName, OptionsOf, ResultOf } from './api.ts'
import type { NodeParts } from './parts.ts'
import type { OptionKinds, ValueKind } from './value-kinds.ts'

interface Operation<Name extends OperationName> {
  options: OptionKinds<OptionsOf<Name>>
  run(parts: NodeParts, options: OptionsOf<Name>): Promise<ResultOf<Name>>
  /** Longest call in bytes of JSON. Default 1 MiB. */
  maxCallBytes?: number
  /** Whether it asks other peers, so that what the caller was told about the network matters. Default false. */
  usesNetwork?: boolean
  /**
   * Whether it tells the same events in the same order every time, of which there may be very many: when it starts over,
   * as many are left out as the caller has. Default false: those that the caller has are known by what they say.
   */
  ordersEvents?: boolean
  /**
   * The options with which it goes on after so many bytes of its result. Without it, it starts over when its holder ends,
   * and the bytes that the caller has are left out; then they must be the same every time.
   */
  resume?(options: OptionsOf<Name>, writtenBytes: number): OptionsOf<Name>
}

const FETCHING = { peers: 'strings?', timeoutMs: 'number?', offline: 'boolean?' } as const

export const OPERATIONS: { readonly [Name in OperationName]: Operation<Name> } = {
  id: {
    options: {},
    run: async (parts) => (await import('./operations/id.ts')).id(parts),
  },
  ls: {
    options: { ref: 'string', long: 'boolean?', recursive: 'boolean?', ...FETCHING },
    usesNetwork: true,
    ordersEvents: true,
    run: async (parts, options) => (await import('./operations/ls.ts')).ls(parts, options),
  },
  cat: {
    options: { ref: 'string', offset: 'number?', length: 'number?', ...FETCHING },
    usesNetwork: true,
    run: async (parts, options) => (await import('./operations/cat.ts')).cat(parts, options),
    resume: ({ offset = 0, length, ...options }, written) => ({
      ...options,
      offset: offset + written,
      length: length === undefined ? undefined : length - written,
    }),
  },
  info: {
    options: { ref: 'string', ...FETCHING },
    usesNetwork: true,
    run: async (parts, options) => (await import('./operations/info.ts')).info(parts, options),
  },
  'car-export': {
    options: { ref: 'string', output: 'path?', force: 'boolean?', ...FETCHING },
    usesNetwork: true,
    run: async (parts, options) => (await import('./operations/car-export.ts')).carExport(parts, options),
  },
  'car-import': {
    options: { path: 'path?', pin: 'boolean?' },
    run: async (parts, options) => (await import('./operations/car-import.ts')).carImport(parts, options),
  },
  'block-get': {
    options: { ref: 'string', ...FETCHING },
    usesNetwork: true,
    run: async (parts, options) => (await import('./operations/block.ts')).blockGet(parts, options),
  },
  'block-put': {
    options: { codec: 'string?', hash: 'string?', v0: 'boolean?' },
    run: async (parts, options) => (await import('./operations/block.ts')).blockPut(parts, options),
  },
  'block-stat': {
    options: { ref: 'string', ...FETCHING },
    usesNetwork: true,
    run: async (parts, options) => (await import('./operations/block.ts')).blockStat(parts, options),
  },
  'block-rm': {
    options: { cids: 'strings', force: 'boolean?' },
    run: async (parts, options) => (await import('./operations/block.ts')).blockRm(parts, options),
  },
  'dag-stat': {
    options: { refs: 'strings', ...FETCHING },
    usesNetwork: true,
    run: async (parts, options) => (await import('./operations/dag-stat.ts')).dagStat(parts, options),
  },
  peers: {
    options: {},
    run: async (parts) => (await import('./operations/peers.ts')).peers(parts),
  },
  connect: {
    options: { multiaddr: 'string' },
    usesNetwork: true,
    run: async (parts, options) => (await import('./operations/connect.ts')).connect(parts, options),
  },
  find: {
    options: { ref: 'string', limit: 'number?', timeoutMs: 'number?' },
    usesNetwork: true,
    run: async (parts, options) => (await import('./operations/find.ts')).find(parts, options),
  },
  status: {
    options: {},
    run: async (parts, options) => (await import('./operations/status.ts')).status(parts, options),
  },
  stop: {
    options: {},
    run: async (parts) => (await import('./operations/stop.ts')).stop(parts),
  },
  'config-set': {
    options: { name: 'string', words: 'strings' },
    run: async (parts, options) => (await import('./operations/config-set.ts')).configSet(parts, options),
  },
  stay: {
    options: {},
    usesNetwork: true,
    run: async (parts, options) => (await import('./operations/stay.ts')).stay(parts, options),
  },
  'pin-add': {
    options: { ref: 'string', name: 'string?', direct: 'boolean?', ...FETCHING },
    usesNetwork: true,
    run: async (parts, options) => (await import('./operations/pin-add.ts')).pinAdd(parts, options),
  },
  'pin-rm': {
    options: { cids: 'strings' },
    maxCallBytes: 16 * MiB,
    run: async (parts, options) => (await import('./operations/pins.ts')).pinRm(parts, options),
  },
  'pin-ls': {
    options: { all: 'boolean?' },
    run: async (parts, options) => (await import('./operations/pins.ts')).pinLs(parts, options),
  },
  gc: {
    options: { dryRun: 'boolean?' },
    run: async (parts, options) => (await import('./operations/gc.ts')).gc(parts, options),
  },
  verify: {
    options: { repair: 'boolean?', ...FETCHING },
    usesNetwork: true,
    run: async (parts, options) => (await import('./operations/verify.ts')).verify(parts, options),
  },
  repo: {
    options: {},
    run: async (parts, options) => (await import('./operations/repo.ts')).repo(parts, options),
  },
}

/** What another process may send as options of an operation. */
export function optionKinds(name: OperationName): Readonly<Record<string, ValueKind>> {
  return OPERATIONS[name].options
}
