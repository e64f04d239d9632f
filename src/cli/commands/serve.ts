/** `p2p serve`: the seeding server in the foreground, one line a fact on stderr. */

import { P2PError } from '../../common/errors.ts'
import type { ServeEvent } from '../../daemon/serve.ts'
import { parseAnnounceAddress, parseListenAddress } from '../addresses.ts'
import { type Context, nodeOptionsFor } from '../context.ts'
import type { LimitFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

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
  await runServe({ ...options, listen, announce }, { signal: context.signal, onEvent: eventPrinter(context) })
  return { result: {}, summary: ['Stopped.'] }
}

function eventPrinter({ output, flags }: Context): (event: ServeEvent) => void {
  let isExplained = false
  const announcedToNobody = (cid: string): string => {
    const fact = `${cid} was announced to nobody`
    if (isExplained) return fact
    isExplained = true
    return (
      `${fact}: no peer of the DHT is connected yet. It is announced again as soon as one is; until then others need ` +
      'an address of this node.'
    )
  }
  return (event) => {
    if (flags.json && (event.type === 'ready' || event.type === 'announced')) {
      const { type, ...fields } = event
      output.event(type, fields)
      return
    }
    switch (event.type) {
      case 'ready':
        output.say(`Peer id ${event.peerId}`)
        for (const address of event.multiaddrs) output.say(`Listening on ${address}`)
        output.say('Ready. Ctrl-C stops it.')
        break
      case 'announced':
        if (event.peers === 0) output.warn(announcedToNobody(event.cid))
        else output.say(`Announced ${event.cid} to ${event.peers} ${event.peers === 1 ? 'peer' : 'peers'}`)
        break
      case 'stopping':
        output.say('Stopping.')
        break
      case 'not-closed':
        output.warn(`It did not close within ${event.seconds} s and is left as it is; nothing that was added is lost.`)
        break
    }
  }
}
