/** `p2p add` and `p2p share`: their flags and help. */

import { addAddresses, addHoldTimeout, addLimits, type Declare } from './declaration.ts'
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

  const share = program
    .command('share')
    .summary('add files and folders, and let others fetch them by a link')
    .description(
      'Adds files, folders or stdin ("-"), prints a link for each on stdout, and serves them until Ctrl-C or SIGTERM. ' +
        'While another command serves on the same repo, the link leads to that one.',
    )
    .argument('<path...>', 'files and folders; "-" reads stdin')
    .option('--qr', 'show each link as a QR code, on stderr')
  addHoldTimeout(addLimits(addAddresses(addImportFlags(share)))).action((paths, flags) =>
    run(async (context) => (await import('../commands/share.ts')).share(context, paths, flags)),
  )
}
