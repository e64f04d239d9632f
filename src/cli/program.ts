/**
 * Names, flags and help of all commands. What a command does is in `commands/`, imported when it runs, so that help,
 * completion and usage errors need no more than commander.
 */

import { Command, CommanderError } from 'commander'
import { P2PError } from '../common/errors.ts'
import type { Context } from './context.ts'
import { EXIT_CODES, EXIT_CODES_HELP } from './exit-codes.ts'
import { collect, type GlobalFlags, parseDuration, parseLimit } from './flags.ts'
import type { Outcome } from './outcome.ts'
import { readVersion } from './version.ts'

/** Runs a command in its context. */
export type Execute = (context: Context) => Promise<Outcome>

export interface ProgramOptions {
  /** Called with the command that the user gave, after all flags have been parsed. */
  run(execute: Execute): Promise<void>
  writeOut(text: string): void
  writeError(text: string): void
}

const HOLD_HELP = 'longest wait for a repo whose holder does not answer (default: 30s)'

/**
 * The command line as a tree. `parseAsync` rejects with `CommanderError` for help and usage errors: see
 * {@link helpExitCode} and {@link usageErrorFrom}.
 */
export function createProgram({ run, writeOut, writeError }: ProgramOptions): Command {
  const program = new Command('p2p')
    .description('Share files by what they contain: add, serve, and get from many peers at once. Compatible with IPFS.')
    .version(readVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .option('--json', 'events as JSON on stdout, one a line; the last one is "result" or "error"')
    .option('-q, --quiet', 'only results, warnings and errors')
    .option('-v, --verbose', 'say more, and show the causes of errors')
    .option('--no-progress', 'show no progress')
    .option('--no-color', 'no colour')
    .option('--repo <path>', 'folder for configuration and data (default: $P2P_PATH, else the XDG folders)')
    .option('--offline', 'stay off the network')
    .option(
      '--bootstrap <multiaddr>',
      'peer to dial at start, repeats; "none" for no peer (default: $P2P_BOOTSTRAP, else the configuration)',
      collect,
    )
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut, writeErr: writeError, outputError: () => {} })
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  p2p add film.mkv                     prints its CID
  p2p serve                            lets others fetch it
  p2p get CID                          fetches it on another machine
  p2p get CID --peer MULTIADDR         from a peer whose address is known

${EXIT_CODES_HELP}`,
    )

  program
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
    .option('--timeout <duration>', HOLD_HELP, durationOf('--timeout'))
    .action((paths, flags) => run(async (context) => (await import('./commands/add.ts')).add(context, paths, flags)))

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
    run(async (context) => (await import('./commands/get.ts')).get(context, ref, flags)),
  )

  const serve = program
    .command('serve')
    .summary('let others fetch what was added')
    .description('Announces what was added and serves it until Ctrl-C or SIGTERM.')
    .option(
      '--listen <multiaddr>',
      'address to listen on, repeats; port 0 picks a free one (default: the configuration, else port 4001)',
      collect,
    )
    .option('--announce <multiaddr>', 'address to tell to others in place of the own ones, repeats', collect)
    .option(
      '--timeout <duration>',
      'longest wait for a repo that another command holds (default: 30s)',
      durationOf('--timeout'),
    )
  addLimits(serve).action((flags) =>
    run(async (context) => (await import('./commands/serve.ts')).serve(context, flags)),
  )

  program
    .command('help')
    .summary('show help for a command')
    .argument('[command]')
    .action((name?: string) => {
      const command = name === undefined ? program : program.commands.find((one) => one.name() === name)
      if (command !== undefined) command.help()
      const names = program.commands.map((one) => one.name()).join(', ')
      throw new P2PError('usage', `There is no command "${name}"`, { hint: `The commands are ${names}.` })
    })

  return program
}

/** The global flags as far as they have been parsed; also of use after a usage error. */
export function readGlobalFlags(program: Command): GlobalFlags {
  const {
    json = false,
    quiet = false,
    verbose = false,
    progress,
    color,
    offline = false,
    repo,
    bootstrap,
  } = program.opts()
  return { json, quiet, verbose, progress, color, offline, repo, bootstrap }
}

/** The exit code if the command line ended by showing help or the version; undefined if it was something else. */
export function helpExitCode(error: unknown): number | undefined {
  if (!(error instanceof CommanderError)) return undefined
  if (error.code === 'commander.helpDisplayed' || error.code === 'commander.version') return 0
  // `p2p help` and no command at all differ in their exit code only.
  return error.code === 'commander.help' ? (error.exitCode === 0 ? 0 : EXIT_CODES.usage) : undefined
}

/** A parse error in our form; undefined if it is none. */
export function usageErrorFrom(error: unknown, program: Command): P2PError | undefined {
  if (!(error instanceof CommanderError)) return undefined
  const [message = '', suggestion] = error.message.replace(/^error: /, '').split('\n')
  const command = program.commands.find((one) => one.name() === program.args[0])
  const help = command === undefined ? 'p2p help' : `p2p help ${command.name()}`
  const hint = suggestion?.replace(/^\((.*)\)$/, '$1') ?? `See "${help}".`
  return new P2PError('usage', message.charAt(0).toUpperCase() + message.slice(1), { hint })
}

function addLimits(command: Command): Command {
  return command
    .option(
      '--limit-up <rate>',
      'most bytes a second sent to all peers together, as 10MiB; "none" for no limit (default: $P2P_LIMIT_UP, else ' +
        'the configuration)',
      limitOf('--limit-up'),
    )
    .option(
      '--limit-down <rate>',
      'most bytes a second received from all peers together (default: $P2P_LIMIT_DOWN, else the configuration)',
      limitOf('--limit-down'),
    )
    .option('--limit-lan', 'hold peers on this machine and in the local network to the limits too')
}

function limitOf(flag: string): (text: string) => number | null {
  return (text) => parseLimit(text, flag)
}

function durationOf(flag: string): (text: string) => number {
  return (text) => parseDuration(text, flag)
}
