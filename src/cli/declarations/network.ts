/** Commands about this node and those it knows: their flags and help. */

import { addHoldTimeout, type Declare } from './declaration.ts'

export const declareNetwork: Declare = (program, run) => {
  const id = program
    .command('id')
    .summary('show the peer id and the addresses of this node')
    .description('Prints the peer id of this repo, and the addresses at which it can be dialled while one listens.')
  addHoldTimeout(id).action((flags) => run(async (context) => (await import('../commands/id.ts')).id(context, flags)))
}
