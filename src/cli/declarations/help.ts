/** `p2p help [command…]`: the help of any command, also of one in a group. */

import type { Command } from 'commander'
import { P2PError } from '../../common/errors.ts'
import { closestName } from '../../common/near-miss.ts'

export function declareHelp(program: Command): void {
  program
    .command('help')
    .summary('show help for a command')
    .argument('[command...]')
    .action((names: string[]) => {
      const { command, unknown } = findCommand(program, names)
      if (unknown === undefined) return command.help()
      const known = command.commands.map((one) => one.name())
      const guess = closestName(unknown, known)
      const list = known.length === 0 ? `See "p2p help ${command.name()}".` : `The commands are ${known.join(', ')}.`
      throw new P2PError('usage', `There is no command "${names.join(' ')}"`, {
        hint: guess === undefined ? list : `Did you mean ${guess}?`,
      })
    })
}

/** The command that the names lead to, and the first name that leads nowhere. */
export function findCommand(
  program: Command,
  names: readonly string[],
): { command: Command; unknown?: string | undefined } {
  let command = program
  for (const name of names) {
    const next = command.commands.find((one) => one.name() === name)
    if (next === undefined) return { command, unknown: name }
    command = next
  }
  return { command }
}
