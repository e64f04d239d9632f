/** `p2p get`: its flags and help. */

import { collect } from '../flags.ts'
import { addLimits, type Declare, durationOf } from './declaration.ts'

export const declareGet: Declare = (program, run) => {
  const get = program
    .command('get')
    .summary('fetch a file or folder from every peer that has it')
    .description(
      'Fetches a reference from many peers at once, checks every block, and puts the whole file or folder in place ' +
        'at the end. After an interruption the same command goes on where it stopped.\n\n' +
        'A reference is a CID, CID/path, ipfs://CID, /ipfs/CID or the URL of an IPFS gateway. stdout stays empty, but ' +
        'for -o - and --json; where the result is saved is said on stderr.',
    )
    .argument('<ref>', 'what to fetch')
    .option('-o, --output <path>', 'name of the result; with a slash at the end a folder to put it in; "-" is stdout')
    .option('--peer <multiaddr>', 'peer to ask, ending in /p2p/<peer id>; repeats', collect)
    .option('--timeout <duration>', 'longest time without a new byte (default: 60s)', durationOf('--timeout'))
    .option('-f, --force', 'replace what stands at the target')
    .option('--pin', 'keep it from garbage collection')
    .option('--copy', 'keep a copy in the store, besides the file')
    .option('--no-seed', 'give others nothing of it meanwhile: do not listen, announce or serve')
  addLimits(get).action((ref, flags) =>
    run(async (context) => (await import('../commands/get.ts')).get(context, ref, flags)),
  )
}
