/** `p2p connect`: whether a peer can be reached, and a connection to it. */

import { P2PError } from '../../common/errors.ts'
import { parsePeerAddress } from '../../dag/ref.ts'
import { type Context, runOperation } from '../context.ts'
import type { HoldFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

/** @throws P2PError `usage`, `bad-ref`, `network`, `repo-held` */
export async function connect(context: Context, address: string, { timeout }: HoldFlags): Promise<Outcome> {
  if (context.flags.offline) {
    throw new P2PError('usage', '--offline leaves nothing for p2p connect to do', { hint: 'Leave it out.' })
  }
  const multiaddr = parsePeerAddress(address)
  const needs = { command: 'p2p connect', holdTimeoutMs: timeout }
  const { stays, ...result } = await runOperation(context, needs, 'connect', { multiaddr })
  context.output.resultLine(result.multiaddr)
  return {
    result,
    summary: [
      `Connected (${result.path}).`,
      ...(stays ? [] : ['The connection ends with this command: "p2p serve" would keep it.']),
    ],
  }
}
