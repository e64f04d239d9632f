/** `p2p config`: the settings of the user. */

import { resolveLocation } from '../../repo/location.ts'
import type { Context } from '../context.ts'
import type { Outcome } from '../outcome.ts'

/** @throws P2PError `usage` for a `--repo` that names nothing */
export async function configPath({ output, flags, env, home, cwd }: Context): Promise<Outcome> {
  const { configFile } = resolveLocation({ repo: flags.repo, env, home, cwd })
  output.resultLine(configFile)
  return { result: { path: configFile }, summary: [] }
}
