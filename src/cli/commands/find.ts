/** `p2p find`: the peers that are said to have a root, one a line as they are found. */

import { P2PError } from '../../common/errors.ts'
import { counted, formatDuration } from '../../common/units.ts'
import { parseRef } from '../../dag/ref.ts'
import { type Context, runOperation } from '../context.ts'
import type { Outcome } from '../outcome.ts'

export interface FindFlags {
  limit?: number
  timeout?: number
}

/** @throws P2PError `usage`, and as `find` of `Api.run` does */
export async function find(context: Context, ref: string, { limit, timeout }: FindFlags): Promise<Outcome> {
  const { flags, output } = context
  if (flags.offline) {
    throw new P2PError('usage', '--offline leaves nothing for p2p find to do', { hint: 'Leave it out.' })
  }
  const { cid } = parseRef(ref)
  output.say(`Looking for providers of ${cid}.`)
  const needs = { command: 'p2p find', holdTimeoutMs: timeout }
  const result = await runOperation(context, needs, 'find', {
    ref,
    limit,
    timeoutMs: timeout,
    onEvent: ({ peerId, multiaddrs, via }) => {
      output.resultLine([peerId, via, ...multiaddrs].join('  '))
      output.event('provider', { peerId, multiaddrs, via })
    },
  })
  const count = counted(result.providers, 'provider')
  const within = result.timedOut ? ` within ${formatDuration(timeout ?? 0)}; there may be more` : ''
  return { result: { ...result }, summary: [`Found ${count}${within}.`] }
}
