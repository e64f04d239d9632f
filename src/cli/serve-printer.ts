/** What `p2p serve` and `p2p share` say while they run. */

import { counted } from '../common/units.ts'
import type { ServeEvent } from '../daemon/serve.ts'
import type { Context } from './context.ts'

/** Prints what a server does, one line a fact. */
export function servePrinter({ output, flags }: Context): (event: ServeEvent) => void {
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
        else output.say(`Announced ${event.cid} to ${counted(event.peers, 'peer')}`)
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
