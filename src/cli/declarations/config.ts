/** `p2p config`: its commands, their flags and help. */

import { addHoldTimeout, type Declare, declareGroup } from './declaration.ts'

export const declareConfig: Declare = (program, run) => {
  const config = declareGroup(program, 'config', 'show and change the settings')
  config
    .command('ls')
    .summary('show all settings')
    .description('Prints every setting and its value.')
    .action(() => run(async (context) => (await import('../commands/config.ts')).configList(context)))
  config
    .command('get')
    .summary('show one setting')
    .description('Prints the value of a setting; of a list each entry on a line of its own.')
    .argument('<name>', 'as limits.up')
    .action((name) => run(async (context) => (await import('../commands/config.ts')).configGet(context, name)))
  const set = config
    .command('set')
    .summary('change a setting')
    .description('Changes a setting. What runs already goes by it when it is started again.')
    .argument('<name>', 'as limits.up')
    .argument('<value...>', 'several for a list; "none" for an empty list or no limit; true or false')
  addHoldTimeout(set).action((name, words, flags) =>
    run(async (context) => (await import('../commands/config.ts')).configSet(context, name, words, flags)),
  )
  config
    .command('path')
    .summary('show where the settings are')
    .description('Prints the path of the file with the settings, whether it exists or not.')
    .action(() => run(async (context) => (await import('../commands/config.ts')).configPath(context)))
}
