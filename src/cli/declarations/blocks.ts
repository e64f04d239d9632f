/** Commands under the hood, `car`, `block`, `dag` and `cid`: their flags and help. */

import { addFetching, addHoldTimeout, type Declare, declareGroup } from './declaration.ts'

export const declareCar: Declare = (program, run) => {
  const car = declareGroup(program, 'car', 'write and read CAR files')
  const exporting = car
    .command('export')
    .summary('write everything below a reference into a CAR file')
    .description(
      'Writes all blocks below a reference into a CAR file (version 1), in an order that depends on them alone. What is ' +
        'not here is fetched, and not kept.',
    )
    .argument('<ref>', 'what to export')
    .option('-o, --output <path>', 'the file; "-" is stdout (default: "-")')
    .option('-f, --force', 'replace the file if it exists')
  addFetching(exporting).action((ref, flags) =>
    run(async (context) => (await import('../commands/car.ts')).carExport(context, ref, flags)),
  )

  const importing = car
    .command('import')
    .summary('store the blocks of a CAR file, and pin its roots')
    .description(
      'Stores the blocks of a CAR file (version 1 or 2), each checked, and pins its roots. Prints the roots, one a line, ' +
        'once all is safe on disk.',
    )
    .argument('<file>', 'the CAR file; "-" reads stdin')
    .option('--no-pin', 'do not protect the roots from garbage collection')
  addHoldTimeout(importing).action((path, flags) =>
    run(async (context) => (await import('../commands/car.ts')).carImport(context, path, flags)),
  )
}

export const declareBlock: Declare = (program, run) => {
  const block = declareGroup(program, 'block', 'get, store and remove single blocks')
  const get = block
    .command('get')
    .summary('write the bytes of a block to stdout')
    .description('Writes the bytes of a block to stdout. One that is not here is fetched, and not kept.')
    .argument('<ref>', 'the block, or a path that leads to it')
  addFetching(get).action((ref, flags) =>
    run(async (context) => (await import('../commands/block.ts')).blockGet(context, ref, flags)),
  )

  const put = block
    .command('put')
    .summary('store a block from stdin, and print its CID')
    .description('Stores stdin as one block, of up to 2 MiB, and prints its CID. It is not pinned.')
    .option('--codec <name>', 'what is in it, as dag-pb or dag-cbor (default: raw)')
    .option('--hash <name>', 'the hash function (default: sha2-256)')
    .option('--v0', 'name it by CIDv0, as a dag-pb node')
  addHoldTimeout(put).action((flags) =>
    run(async (context) => (await import('../commands/block.ts')).blockPut(context, flags)),
  )

  const stat = block
    .command('stat')
    .summary('print the CID and the size of a block')
    .description('Prints the CID of a block and its bytes. One that is not here is fetched, and not kept.')
    .argument('<ref>', 'the block, or a path that leads to it')
  addFetching(stat).action((ref, flags) =>
    run(async (context) => (await import('../commands/block.ts')).blockStat(context, ref, flags)),
  )

  const rm = block
    .command('rm')
    .summary('remove blocks from the store')
    .description('Removes blocks from the store, and prints those that were. One that something kept needs stays.')
    .argument('<cid...>', 'the blocks')
    .option('-f, --force', 'pass over blocks that are not here')
  addHoldTimeout(rm).action((cids, flags) =>
    run(async (context) => (await import('../commands/block.ts')).blockRm(context, cids, flags)),
  )
}

export const declareDag: Declare = (program, run) => {
  const dag = declareGroup(program, 'dag', 'look at what things are made of')
  const stat = dag
    .command('stat')
    .summary('count the blocks below references')
    .description(
      'Counts the blocks below each reference, and their bytes; of several also the blocks of all together, each ' +
        'counted once. What is not here is fetched.',
    )
    .argument('<ref...>', 'what to count')
  addFetching(stat).action((refs, flags) =>
    run(async (context) => (await import('../commands/dag.ts')).dagStat(context, refs, flags)),
  )
}

export const declareCid: Declare = (program, run) => {
  program
    .command('cid')
    .summary('show what a CID says, or write it otherwise')
    .description(
      'Shows version, codec, hash and base of a CID. With --v0, --v1 or --base it prints the same CID written that way.',
    )
    .argument('<cid...>')
    .option('--v0', 'as CIDv0')
    .option('--v1', 'as CIDv1')
    .option('--base <name>', 'in this base, as base32, base36, base58btc or base64url; implies --v1')
    .action((cids, flags) => run(async (context) => (await import('../commands/cid.ts')).cid(context, cids, flags)))
}
