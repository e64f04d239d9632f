/** Commands on what is kept, `pin`, `gc`, `verify` and `repo`: their flags and help. */

import { addFetching, addHoldTimeout, type Declare, declareGroup } from './declaration.ts'

export const declareKeep: Declare = (program, run) => {
  const pin = declareGroup(program, 'pin', 'say what is to be kept')
  const add = pin
    .command('add')
    .summary('keep a file or folder, and fetch what of it is not here')
    .description(
      'Keeps everything below a reference from garbage collection. What is not in the store is fetched into it. Prints ' +
        'the CID once all is safe on disk.',
    )
    .argument('<ref>', 'what to keep')
    .option('--name <name>', 'a name for it in "pin ls" (default: that of the link or the path)')
    .option('--direct', 'keep the block itself only, without what it links to')
  addFetching(add).action((ref, flags) =>
    run(async (context) => (await import('../commands/pin.ts')).pinAdd(context, ref, flags)),
  )

  const rm = pin
    .command('rm')
    .summary('give up pins, and what downloads left')
    .description('Gives up pins, and roots that downloads left. Their blocks are removed by the next gc.')
    .argument('<cid...>', 'roots, as "pin ls --all" shows them')
  addHoldTimeout(rm).action((cids, flags) =>
    run(async (context) => (await import('../commands/pin.ts')).pinRm(context, cids, flags)),
  )

  const ls = pin
    .command('ls')
    .summary('list what is kept')
    .description('Lists the pins, one a line: CID, kind, bytes of content, age, name.')
    .option('-a, --all', 'list what downloads left too, which is kept until its space is needed')
  addHoldTimeout(ls).action((flags) =>
    run(async (context) => (await import('../commands/pin.ts')).pinLs(context, flags)),
  )

  const gc = program
    .command('gc')
    .summary('remove what is not kept')
    .description(
      'Removes blocks that neither a pin, nor what a download left, nor a command under way needs. Adding and serving ' +
        'go on meanwhile. Nothing is removed if a pin is not whole.',
    )
    .option('--dry-run', 'only say what would be removed')
  addHoldTimeout(gc).action((flags) => run(async (context) => (await import('../commands/gc.ts')).gc(context, flags)))

  const verify = program
    .command('verify')
    .summary('check everything in the repo, and repair it')
    .description(
      'Hashes every block again and walks every pin. Prints the CID of each block that is damaged or missing, one a ' +
        'line, and ends with exit code 8 if there is one. Mends nothing without --repair.',
    )
    .option('--repair', 'fetch what is damaged or missing from others, and forget what is not needed')
  addFetching(verify).action((flags) =>
    run(async (context) => (await import('../commands/verify.ts')).verify(context, flags)),
  )

  const repo = program
    .command('repo')
    .summary('show what is in the repo, and how much')
    .description('Shows where the repo is, its version, its blocks, pins, and how much it may hold.')
  addHoldTimeout(repo).action((flags) =>
    run(async (context) => (await import('../commands/repo.ts')).repo(context, flags)),
  )
}
