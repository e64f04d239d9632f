/** `p2p add`: its flags and help. */

import { addHoldTimeout, type Declare } from './declaration.ts'
import { addImportFlags } from './import.ts'

export const declareAdd: Declare = (program, run) => {
  const add = program
    .command('add')
    .summary('import files and folders, and print their CIDs')
    .description(
      'Imports files, folders or stdin ("-") and keeps them. Prints the CID of each path, one a line, once it is ' +
        'safe on disk, and nothing else on stdout.',
    )
    .argument('<path...>', 'files and folders; "-" reads stdin')
    .option('--no-pin', 'do not protect them from garbage collection')
    .option('-n, --only-hash', 'print the CIDs, and keep nothing')
  addHoldTimeout(addImportFlags(add)).action((paths, flags) =>
    run(async (context) => (await import('../commands/add.ts')).add(context, paths, flags)),
  )
}
