/** `p2p serve`, and what looks after it: their flags and help. */

import { addAddresses, addHoldTimeout, addLimits, type Declare, durationOf } from './declaration.ts'

export const declareServe: Declare = (program, run) => {
  const serve = program
    .command('serve')
    .summary('let others fetch what was added')
    .description('Announces what was added and serves it until Ctrl-C or SIGTERM.')
    .option(
      '--timeout <duration>',
      'longest wait for a repo that another command holds (default: 30s)',
      durationOf('--timeout'),
    )
  addLimits(addAddresses(serve)).action((flags) =>
    run(async (context) => (await import('../commands/serve.ts')).serve(context, flags)),
  )

  const status = program
    .command('status')
    .summary('show what is kept, announced and served')
    .description('Prints what is kept and to how many peers it was announced, and what the server on this repo does.')
  addHoldTimeout(status).action((flags) =>
    run(async (context) => (await import('../commands/status.ts')).status(context, flags)),
  )

  const stop = program
    .command('stop')
    .summary('end the server on this repo')
    .description(
      'Ends the "p2p serve" or "p2p share" that holds this repo, as Ctrl-C does, and waits until it has ended.',
    )
  addHoldTimeout(stop).action((flags) =>
    run(async (context) => (await import('../commands/stop.ts')).stop(context, flags)),
  )
}
