/** `p2p pin`: what is kept. */

import { P2PError } from '../../common/errors.ts'
import { formatBytes, formatDuration } from '../../common/units.ts'
import { parseCid } from '../../dag/cid.ts'
import type { PinEntry } from '../../node/api/pins.ts'
import { type Context, runOperation } from '../context.ts'
import { fetchingOptions } from '../fetching.ts'
import type { FetchingFlags, HoldFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

export interface PinAddFlags extends FetchingFlags {
  name?: string
  direct?: boolean
}

export interface PinLsFlags extends HoldFlags {
  all?: boolean
}

/** @throws P2PError as `pin-add` of `Api.run` does */
export async function pinAdd(context: Context, ref: string, { name, direct, ...flags }: PinAddFlags): Promise<Outcome> {
  const options = { ref, name, direct, ...(await fetchingOptions(context, flags)) }
  const result = await runOperation(context, needsOf('add', flags), 'pin-add', options)
  context.output.resultLine(result.cid)
  return { result: { ...result }, summary: [`Pinned ${formatBytes(result.bytes)}.`] }
}

/** @throws P2PError as `pin-rm` of `Api.run` does */
export async function pinRm(context: Context, cids: string[], flags: HoldFlags): Promise<Outcome> {
  for (const cid of cids) parseCid(cid)
  const result = await runOperation(context, needsOf('rm', flags), 'pin-rm', { cids })
  const { removed, failures } = result
  for (const cid of removed) context.output.resultLine(cid)
  return {
    result: { ...result },
    summary: removed.length > 0 ? ['What nothing else needs of it goes with the next "p2p gc".'] : [],
    problems: failures.map(({ cid, message }) => `${cid} is not given up: ${message}`),
    failure: failures.length === 0 ? undefined : notGivenUp(failures.length, cids.length),
  }
}

function notGivenUp(failures: number, all: number): P2PError {
  const hint = '"p2p pin ls --all" shows what is kept.'
  if (failures === all) return new P2PError('not-found', 'Nothing was given up', { hint })
  return new P2PError('partial', `${failures} of ${all} roots were not given up`, { hint })
}

/** @throws P2PError as `pin-ls` of `Api.run` does */
export async function pinLs(context: Context, { all, ...flags }: PinLsFlags): Promise<Outcome> {
  const { output } = context
  const now = Date.now()
  const result = await runOperation(context, needsOf('ls', flags), 'pin-ls', {
    all,
    onEvent: async (entry) => {
      output.resultLine(lineOf(entry, now))
      output.event('pin', { ...entry })
      await output.taken()
    },
  })
  return { result: { ...result }, summary: [] }
}

/** Name last, since it is as long as it likes. */
function lineOf({ cid, kind, bytes, createdAt, name }: PinEntry, now: number): string {
  const age = formatDuration(Math.max(0, now - Date.parse(createdAt)))
  return [cid, kind.padEnd(9), formatBytes(bytes).padStart(10), age.padStart(8), name ?? ''].join('  ').trimEnd()
}

function needsOf(name: string, { timeout }: HoldFlags) {
  return { command: `p2p pin ${name}`, holdTimeoutMs: timeout }
}
