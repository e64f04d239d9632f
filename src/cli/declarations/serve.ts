/** `p2p serve`: its flags and help. */

import { collect } from '../flags.ts'
import { addLimits, type Declare, durationOf } from './declaration.ts'

export const declareServe: Declare = (program, run) => {
  const serve = program
    .command('serve')
    .summary('let others fetch what was added')
    .description('Announces what was added and serves it until Ctrl-C or SIGTERM.')
    .option(
      '--listen <multiaddr>',
      'address to listen on, repeats; port 0 picks a free one (default: the configuration, else port 4001)',
      collect,
    )
    .option('--announce <multiaddr>', 'address to tell to others in place of the own ones, repeats', collect)
    .option(
      '--timeout <duration>',
      'longest wait for a repo that another command holds (default: 30s)',
      durationOf('--timeout'),
    )
  addLimits(serve).action((flags) =>
    run(async (context) => (await import('../commands/serve.ts')).serve(context, flags)),
  )
}
