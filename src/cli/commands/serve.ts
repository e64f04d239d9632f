/** `p2p serve`: the seeding server in the foreground, one line a fact on stderr. */

import { P2PError } from '../../common/errors.ts'
import { parseAnnounceAddress, parseListenAddress } from '../addresses.ts'
import { type Context, nodeOptionsFor } from '../context.ts'
import type { LimitFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'
import { servePrinter } from '../serve-printer.ts'

export interface ServeFlags extends LimitFlags {
  listen?: string[]
  announce?: string[]
  timeout?: number
}

/** Ends when the signal aborts, and that is success. @throws P2PError `usage`, `repo-held`, `network`, `io` */
export async function serve(context: Context, flags: ServeFlags): Promise<Outcome> {
  if (context.flags.offline) {
    throw new P2PError('usage', '--offline leaves nothing for p2p serve to do', {
      hint: 'To serve only whom you tell, use --bootstrap none and a --listen address of your network.',
    })
  }
  const listen = flags.listen?.map(parseListenAddress)
  const announce = flags.announce?.map(parseAnnounceAddress)
  const options = await nodeOptionsFor(context, { command: 'p2p serve', holdTimeoutMs: flags.timeout, limits: flags })
  const { runServe } = await import('../../daemon/serve.ts')
  await runServe({ ...options, listen, announce }, { signal: context.signal, onEvent: servePrinter(context) })
  return { result: {}, summary: ['Stopped.'] }
}
