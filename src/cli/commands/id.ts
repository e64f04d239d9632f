/** `p2p id`: who this node is, and where it can be dialled. */

import { type Context, runOperation } from '../context.ts'
import type { HoldFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

/** @throws P2PError as `id` of `Api.run` does */
export async function id(context: Context, { timeout }: HoldFlags): Promise<Outcome> {
  const { output } = context
  const result = await runOperation(context, { command: 'p2p id', holdTimeoutMs: timeout }, 'id', {})
  output.resultLine(result.peerId)
  for (const multiaddr of result.multiaddrs) output.resultLine(multiaddr)
  return { result: { ...result }, summary: [] }
}
