/** `p2p verify`: the CIDs of what is damaged or missing, one a line. */

import { P2PError } from '../../common/errors.ts'
import { counted, formatBytes } from '../../common/units.ts'
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
  const found = new FoundProblems()
  const tell = async (problem: VerifiedProblem) => {
    output.event('problem', { ...problem })
    const { cid, repaired } = problem
    if (repaired || context.flags.verbose) output.say(sentenceOf(problem))
    else if (cid === null) output.warn(sentenceOf(problem))
    if (found.add(problem) && cid !== null) output.resultLine(cid)
    await output.taken()
  }
  const options = { repair, ...(await fetchingOptions(context, flags)), onEvent: tell }
  const needs = { command: 'p2p verify', holdTimeoutMs: flags.timeout, repoMustExist: true }
  const result = await runOperation(context, needs, 'verify', options)
  return { result: { ...result }, summary: summaryOf(result, found), failure: failureOf(found, repair === true) }
}

/** What is told of problems: a block may be wrong in several ways, and is one thing to mend. */
class FoundProblems {
  /** Blocks of which something is left, by their CIDs. */
  readonly left = new Set<string>()
  readonly #repaired = new Set<string>()
  /** Blocks that are not in the user's file any more, and that no pin lacks; by the file's path. */
  readonly #given = new Map<string, Set<string>>()
  /** Left, and not of a block. */
  others = 0
  #othersRepaired = 0
  /** Of what is left, some would be right again if a file of the user were where it was. */
  isInUserFile = false

  /** @returns whether the problem adds to what is left */
  add({ cid, kind, path, matters, repaired }: VerifiedProblem): boolean {
    if (!repaired && USER_FILE_PROBLEMS.includes(kind)) this.isInUserFile = true
    if (!repaired && !matters) {
      if (path !== null && cid !== null) this.#given.set(path, (this.#given.get(path) ?? new Set()).add(cid))
      return false
    }
    if (cid === null) {
      if (repaired) this.#othersRepaired++
      else this.others++
      return !repaired
    }
    const told = repaired ? this.#repaired : this.left
    const isNew = !told.has(cid)
    told.add(cid)
    return isNew && !repaired
  }

  /** What is not in files of the user any more without a pin that lacks it, a sentence for each file. */
  givenUp(): string[] {
    const sentences: string[] = []
    for (const [path, cids] of this.#given) {
      const count = [...cids].filter((cid) => !this.left.has(cid)).length
      if (count > 0)
        sentences.push(`${path} was changed or moved: ${counted(count, 'block')} of it, which no pin lacks`)
    }
    return sentences
  }

  /** Blocks, and whatever else, of which nothing is left to mend. */
  get repaired(): number {
    return [...this.#repaired].filter((cid) => !this.left.has(cid)).length + this.#othersRepaired
  }
}

const USER_FILE_PROBLEMS: VerifiedProblem['kind'][] = ['dangling-reference', 'unreadable-reference']

function sentenceOf({ cid, path, reason, repaired }: VerifiedProblem): string {
  return `${[cid, path].filter((part) => part !== null).join(' in ')}: ${reason}${repaired ? '; repaired' : ''}`
}

function summaryOf({ blocks, bytes, references, pins }: VerifyResult, found: FoundProblems): string[] {
  const inFiles = references > 0 ? ` and ${references} in your files` : ''
  const givenUp = found.givenUp()
  return [
    ...givenUp,
    ...(givenUp.length > 0 ? ['"p2p verify --repair" forgets that it was there.'] : []),
    `Checked ${counted(blocks, 'block')} (${formatBytes(bytes)})${inFiles}, and ${counted(pins, 'root')}.`,
    ...(found.repaired > 0 ? [`Repaired ${found.repaired}.`] : []),
  ]
}

function failureOf({ left, others, isInUserFile }: FoundProblems, hasTried: boolean): P2PError | undefined {
  const facts = [
    ...(left.size > 0 ? [`${counted(left.size, 'block')} ${left.size === 1 ? 'is' : 'are'} damaged or missing`] : []),
    ...(others > 0 ? [`${counted(others, 'other problem')} ${others === 1 ? 'is' : 'are'} left`] : []),
  ]
  if (facts.length === 0) return undefined
  const hint = hasTried
    ? 'Name somebody who has it with --peer, or give the pin up with "p2p pin rm".'
    : 'Run "p2p verify --repair" to fetch what is missing; --peer names somebody who has it. Or add it again, with --rehash.'
  const putBack = isInUserFile
    ? ' A file of yours that was moved or changed is right again once it is moved back as it was, or added again.'
    : ''
  return new P2PError('verification', facts.join(', and '), { hint: `${hint}${putBack}` })
}
