/** `p2p add`: its flags and help. */

import { addHoldTimeout, type Declare } from './declaration.ts'

export const declareAdd: Declare = (program, run) => {
  const add = program
    .command('add')
    .summary('import files and folders, and print their CIDs')
    .description(
      'Imports files, folders or stdin ("-") and keeps them. Prints the CID of each path, one a line, once it is ' +
        'safe on disk, and nothing else on stdout.',
    )
    .argument('<path...>', 'files and folders; "-" reads stdin')
    .option('--hidden', 'take in files and folders whose name starts with a dot')
    .option('--no-pin', 'do not protect them from garbage collection')
    .option('--nocopy', 'serve files from where they stand, as long as nobody changes them')
  addHoldTimeout(add).action((paths, flags) =>
    run(async (context) => (await import('../commands/add.ts')).add(context, paths, flags)),
  )
}
