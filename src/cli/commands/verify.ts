/** `p2p verify`: the CIDs of what is damaged or missing, one a line. */

import { P2PError } from '../../common/errors.ts'
import { formatBytes } from '../../common/units.ts'
import type { VerifiedProblem, VerifyResult } from '../../node/api/pins.ts'
import { type Context, runOperation } from '../context.ts'
import { fetchingOptions } from '../fetching.ts'
import type { FetchingFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

export interface VerifyFlags extends FetchingFlags {
  repair?: boolean
}

/** @throws P2PError as `verify` of `Api.run` does */
export async function verify(context: Context, { repair, ...flags }: VerifyFlags): Promise<Outcome> {
  const { output } = context
  const told = new Set<string>()
  const tell = async (problem: VerifiedProblem) => {
    output.event('problem', { ...problem })
    const { cid, repaired } = problem
    if (repaired || context.flags.verbose) output.say(sentenceOf(problem))
    else if (cid === null) output.warn(sentenceOf(problem))
    // A block may be wrong in several ways.
    if (cid !== null && !repaired && !told.has(cid)) {
      told.add(cid)
      output.resultLine(cid)
    }
    await output.taken()
  }
  const options = { repair, ...(await fetchingOptions(context, flags)), onEvent: tell }
  const needs = { command: 'p2p verify', holdTimeoutMs: flags.timeout }
  const result = await runOperation(context, needs, 'verify', options)
  return { result: { ...result }, summary: summaryOf(result), failure: failureOf(result, repair === true) }
}

function sentenceOf({ cid, path, reason, repaired }: VerifiedProblem): string {
  return `${[cid, path].filter((part) => part !== null).join(' in ')}: ${reason}${repaired ? '; repaired' : ''}`
}

function summaryOf({ blocks, bytes, references, pins, repaired }: VerifyResult): string[] {
  const inFiles = references > 0 ? ` and ${references} in your files` : ''
  return [
    `Checked ${blocks} blocks (${formatBytes(bytes)})${inFiles}, and ${pins} roots.`,
    ...(repaired > 0 ? [`Repaired ${repaired}.`] : []),
  ]
}

function failureOf({ problems, repaired }: VerifyResult, hasTried: boolean): P2PError | undefined {
  const left = problems - repaired
  if (left === 0) return undefined
  return new P2PError('verification', `${left} ${left === 1 ? 'problem is' : 'problems are'} left`, {
    hint: hasTried
      ? 'Name somebody who has it with --peer, or give the pin up with "p2p pin rm".'
      : 'Run "p2p verify --repair" to fetch what is missing; --peer names somebody who has it.',
  })
}
