/** `p2p block`: single blocks, whatever they are part of. */

import { P2PError } from '../../common/errors.ts'
import type { BlockRmResult } from '../../node/api/blocks.ts'
import { type Context, runOperation } from '../context.ts'
import { fetchingOptions } from '../fetching.ts'
import type { FetchingFlags, HoldFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'
import { refuseTerminal, stdoutWriter } from '../stdout.ts'

export interface BlockPutFlags extends HoldFlags {
  codec?: string
  hash?: string
  v0?: boolean
}

export interface BlockRmFlags extends HoldFlags {
  force?: boolean
}

/** @throws P2PError as `block-get` of `Api.run` does; `usage` with `--json` and on a terminal */
export async function blockGet(context: Context, ref: string, flags: FetchingFlags): Promise<Outcome> {
  refuseTerminal(context, 'Send stdout to a file, or to a program: p2p block get CID | xxd')
  const result = await runOperation(context, needsOf('get', flags), 'block-get', {
    ref,
    write: stdoutWriter(context, 'block get'),
    ...(await fetchingOptions(context, flags)),
  })
  return { result: { ...result }, summary: [] }
}

/** @throws P2PError as `block-stat` of `Api.run` does */
export async function blockStat(context: Context, ref: string, flags: FetchingFlags): Promise<Outcome> {
  const result = await runOperation(context, needsOf('stat', flags), 'block-stat', {
    ref,
    ...(await fetchingOptions(context, flags)),
  })
  context.output.resultLine(`${result.cid}  ${result.bytes}`)
  return { result: { ...result }, summary: [] }
}

/** @throws P2PError as `block-put` of `Api.run` does */
export async function blockPut(context: Context, { codec, hash, v0, ...flags }: BlockPutFlags): Promise<Outcome> {
  const { output, stdin } = context
  if (stdin.isTTY === true) output.say('Reading from the terminal; Ctrl-D ends it.')
  const options = { codec, hash, v0, content: stdin }
  const result = await runOperation(context, needsOf('put', flags), 'block-put', options)
  output.resultLine(result.cid)
  return { result: { ...result }, summary: [] }
}

/** @throws P2PError as `block-rm` of `Api.run` does */
export async function blockRm(context: Context, cids: string[], { force, ...flags }: BlockRmFlags): Promise<Outcome> {
  const result = await runOperation(context, needsOf('rm', flags), 'block-rm', { cids, force })
  const { removed, failures } = result
  for (const cid of removed) context.output.resultLine(cid)
  return {
    result: { ...result },
    summary: [],
    problems: failures.map(({ cid, message }) => `${cid} is not removed: ${message}`),
    failure: failures.length === 0 ? undefined : notRemoved(result, cids.length),
  }
}

function notRemoved({ failures }: BlockRmResult, all: number): P2PError {
  if (failures.some(({ isHere }) => isHere)) {
    return new P2PError('partial', `${failures.length} of ${all} blocks were not removed`, {
      hint: '"p2p pin ls --all" shows what is kept.',
    })
  }
  const hint = 'With --force what is not here is no failure.'
  if (failures.length === all) return new P2PError('not-found', 'Nothing was removed', { hint })
  return new P2PError('partial', `${failures.length} of ${all} blocks are not here`, { hint })
}

function needsOf(name: string, { timeout }: HoldFlags) {
  return { command: `p2p block ${name}`, holdTimeoutMs: timeout }
}
