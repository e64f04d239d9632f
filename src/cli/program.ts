/**
 * The command line: global flags, and all commands. What each is called and takes is declared in `declarations/`; what
 * it does is in `commands/`, imported when it runs, so that help, completion and usage errors need no more than commander.
 */

import { Command, CommanderError } from 'commander'
import { P2PError } from '../common/errors.ts'
import { declareAdd } from './declarations/add.ts'
import { declareBlock, declareCar, declareCid, declareDag } from './declarations/blocks.ts'
import { declareConfig } from './declarations/config.ts'
import type { Declare, Run } from './declarations/declaration.ts'
import { declareGet } from './declarations/get.ts'
import { declareHelp, findCommand } from './declarations/help.ts'
import { declareKeep } from './declarations/keep.ts'
import { declareLook } from './declarations/look.ts'
import { declareNetwork } from './declarations/network.ts'
import { declareServe } from './declarations/serve.ts'
import { EXIT_CODES, EXIT_CODES_HELP } from './exit-codes.ts'
import { collect, type GlobalFlags } from './flags.ts'
import { readVersion } from './version.ts'

export interface ProgramOptions {
  run: Run
  writeOut(text: string): void
  writeError(text: string): void
}

/** In the order of the help. */
const DECLARATIONS: Declare[] = [
  declareAdd,
  declareGet,
  declareLook,
  declareServe,
  declareKeep,
  declareCar,
  declareBlock,
  declareDag,
  declareCid,
  declareNetwork,
  declareConfig,
]

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
  p2p share film.mkv                   prints a link, and lets others fetch it
  p2p get 'LINK'                       fetches it on another machine
  p2p add film.mkv                     prints its CID
  p2p serve                            lets others fetch all that was added

${EXIT_CODES_HELP}`,
    )

  for (const declare of DECLARATIONS) declare(program, run)
  declareHelp(program)
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
  const { command } = findCommand(program, program.args)
  const help = ['p2p help', ...pathOf(command)].join(' ')
  if (error.code === 'commander.help') return new P2PError('usage', 'A command is missing', { hint: `See "${help}".` })
  const hint = suggestion?.replace(/^\((.*)\)$/, '$1') ?? `See "${help}".`
  return new P2PError('usage', message.charAt(0).toUpperCase() + message.slice(1), { hint })
}

/** The names that lead to a command. */
function pathOf(command: Command): string[] {
  return command.parent === null ? [] : [...pathOf(command.parent), command.name()]
}
