/**
 * Where a repo is: pure, from the flag and the environment that the shell hands in.
 * @see https://specifications.freedesktop.org/basedir-spec/latest/
 */

import { isAbsolute, join, resolve } from 'node:path'
import { P2PError } from '../common/errors.ts'

export interface RepoLocation {
  /** The user's settings; may not exist. */
  configFile: string
  /** The folder of everything that p2p writes itself. */
  dataDir: string
  versionFile: string
  identityFile: string
  /** Who holds the repo, for messages only. */
  holderFile: string
  databaseDir: string
  blocksDir: string
}

export interface ResolveLocationInput {
  /** The value of `--repo`. */
  repo?: string | undefined
  env: Record<string, string | undefined>
  home: string
  cwd: string
}

/**
 * `--repo`, else `P2P_PATH`: one folder for settings and data. Else the XDG folders, of which the specification wants
 * relative ones ignored.
 *
 * @throws P2PError `usage` for an empty `--repo`, which a script may give by mistake
 */
export function resolveLocation({ repo, env, home, cwd }: ResolveLocationInput): RepoLocation {
  if (repo === '') throw new P2PError('usage', '--repo needs a path', { hint: 'Leave it out for the default repo.' })
  const single = repo ?? env.P2P_PATH
  if (single) {
    const folder = resolve(cwd, single)
    return locationIn(folder, folder)
  }
  const xdg = (value: string | undefined, fallback: string) =>
    join(value && isAbsolute(value) ? value : join(home, fallback), 'p2p')
  return locationIn(xdg(env.XDG_CONFIG_HOME, '.config'), xdg(env.XDG_DATA_HOME, '.local/share'))
}

function locationIn(configDir: string, dataDir: string): RepoLocation {
  return {
    configFile: join(configDir, 'config.json'),
    dataDir,
    versionFile: join(dataDir, 'version'),
    identityFile: join(dataDir, 'identity.key'),
    holderFile: join(dataDir, 'holder.json'),
    databaseDir: join(dataDir, 'database'),
    blocksDir: join(dataDir, 'blocks'),
  }
}
