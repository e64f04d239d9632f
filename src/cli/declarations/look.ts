/** Commands that look at content before it is fetched: their flags and help. */

import { addFetching, type Declare, sizeOf } from './declaration.ts'

export const declareLook: Declare = (program, run) => {
  const ls = program
    .command('ls')
    .summary('list what is in a folder')
    .description(
      'Lists a folder, name by name, in the order in which it is stored. Only what says what is in it is fetched, and ' +
        'stays in the store until the next gc.',
    )
    .argument('<ref>', 'the folder')
    .option('-l, --long', 'with type, bytes, permissions and time if they are kept, and CID')
    .option('-r, --recursive', 'list what is in folders below, too')
  addFetching(ls).action((ref, flags) =>
    run(async (context) => (await import('../commands/ls.ts')).ls(context, ref, flags)),
  )

  const cat = program
    .command('cat')
    .summary('write a file to stdout')
    .description(
      'Writes a file to stdout, in order. Of a part of it only the blocks that hold that part are fetched. Content is ' +
        'not kept, so that it is fetched again next time; what says how the file is made up stays in the store until ' +
        'the next gc.',
    )
    .argument('<ref>', 'the file')
    .option('--offset <size>', 'the first byte (default: 0)', sizeOf('--offset'))
    .option('--length <size>', 'how many bytes at most, as 100 or 10MiB (default: all)', sizeOf('--length'))
  addFetching(cat).action((ref, flags) =>
    run(async (context) => (await import('../commands/cat.ts')).cat(context, ref, flags)),
  )

  const info = program
    .command('info')
    .summary('show size, tree and providers before fetching')
    .description(
      'Shows what a reference leads to: size, files, blocks, how it was made, how much of it is here, and who has how ' +
        'many of a sample of its blocks. Of content it fetches next to nothing.',
    )
    .argument('<ref>', 'what to look at')
  addFetching(info).action((ref, flags) =>
    run(async (context) => (await import('../commands/info.ts')).info(context, ref, flags)),
  )
}
