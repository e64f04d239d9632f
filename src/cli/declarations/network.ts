/** Commands about this node and those it knows: their flags and help. */

import { parseCount } from '../flags.ts'
import { addHoldTimeout, type Declare, durationOf } from './declaration.ts'

export const declareNetwork: Declare = (program, run) => {
  const id = program
    .command('id')
    .summary('show the peer id and the addresses of this node')
    .description('Prints the peer id of this repo, and the addresses at which it can be dialled while one listens.')
  addHoldTimeout(id).action((flags) => run(async (context) => (await import('../commands/id.ts')).id(context, flags)))

  const peers = program
    .command('peers')
    .summary('show who is connected')
    .description(
      'Prints the peers that are connected to whatever command holds the repo: who connected to whom, the path, what ' +
        'each gave and took, the round trip, the address.',
    )
  addHoldTimeout(peers).action((flags) =>
    run(async (context) => (await import('../commands/peers.ts')).peers(context, flags)),
  )

  const connect = program
    .command('connect')
    .summary('connect to a peer')
    .description('Connects to a peer, and prints the address that it was reached at.')
    .argument('<multiaddr>', 'its address, ending in /p2p/<peer id>')
  addHoldTimeout(connect).action((multiaddr, flags) =>
    run(async (context) => (await import('../commands/connect.ts')).connect(context, multiaddr, flags)),
  )

  program
    .command('find')
    .summary('find the peers that have a root')
    .description('Asks the DHTs who has a CID, and prints the providers as they are found: peer id, DHT, addresses.')
    .argument('<ref>', 'a CID, or a reference that holds one')
    .option('--limit <count>', 'end after so many peers', (text) => parseCount(text, '--limit'))
    .option('--timeout <duration>', 'longest search (default: until everybody was asked)', durationOf('--timeout'))
    .action((ref, flags) => run(async (context) => (await import('../commands/find.ts')).find(context, ref, flags)))
}
