/** How a command says what it is called and takes. Declarations import commander and flags alone: all are loaded for `--help`. */

import type { Command } from 'commander'
import type { Context } from '../context.ts'
import { collect, parseDuration, parseLimit, parseSize } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

/** Runs a command in its context. */
export type Execute = (context: Context) => Promise<Outcome>

/** Called with the command that the user gave, after all flags have been parsed. */
export type Run = (execute: Execute) => Promise<void>

/** Adds a command, or a group of them, to the program. Its action imports what it does (`commands/`) when it runs. */
export type Declare = (program: Command, run: Run) => void

/** Adds a command that is only a name before others: `p2p pin add`. */
export function declareGroup(program: Command, name: string, summary: string): Command {
  return program
    .command(name)
    .summary(summary)
    .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    .helpCommand(false)
}

/** `--timeout` of commands that wait for nothing but the repo. */
export function addHoldTimeout(command: Command): Command {
  return command.option(
    '--timeout <duration>',
    'longest wait for a repo whose holder does not answer (default: 30s)',
    durationOf('--timeout'),
  )
}

/** `--peer` and `--timeout` of commands that fetch what is not here. */
export function addFetching(command: Command): Command {
  return command
    .option('--peer <multiaddr>', 'peer to ask, ending in /p2p/<peer id>; repeats', collect)
    .option('--timeout <duration>', 'longest time without a new byte (default: 60s)', durationOf('--timeout'))
}

/** Where commands that serve are reached. */
export function addAddresses(command: Command): Command {
  return command
    .option(
      '--listen <multiaddr>',
      'address to listen on, repeats; port 0 picks a free one (default: the configuration, else port 4001)',
      collect,
    )
    .option('--announce <multiaddr>', 'address to tell to others in place of the own ones, repeats', collect)
}

export function addLimits(command: Command): Command {
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

export function durationOf(flag: string): (text: string) => number {
  return (text) => parseDuration(text, flag)
}

export function sizeOf(flag: string): (text: string) => number {
  return (text) => parseSize(text, flag)
}
