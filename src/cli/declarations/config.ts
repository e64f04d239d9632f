/** `p2p config`: its commands, their flags and help. */

import { type Declare, declareGroup } from './declaration.ts'

export const declareConfig: Declare = (program, run) => {
  const config = declareGroup(program, 'config', 'show and change the settings')
  config
    .command('path')
    .summary('show where the settings are')
    .description('Prints the path of the file with the settings, whether it exists or not.')
    .action(() => run(async (context) => (await import('../commands/config.ts')).configPath(context)))
}
