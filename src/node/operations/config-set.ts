/** `config-set`: changes one of the user's settings. Whoever holds the repo does it, so that changes take turns. */

import { pid } from 'node:process'
import { changeConfig } from '../../repo/config.ts'
import type { ConfigSetOptions, ConfigSetResult } from '../api/config.ts'
import type { NodeParts } from '../parts.ts'

/** @throws P2PError `usage`, `bad-config`, `io`, `disk-full` */
export async function configSet(
  { repo, targets, holder }: Pick<NodeParts, 'repo' | 'targets' | 'holder'>,
  { name, words }: ConfigSetOptions,
): Promise<ConfigSetResult> {
  const path = repo.location.configFile
  const value = await targets.run(path, () => changeConfig(path, name, words))
  return { name, value, path, holder: { command: holder.command, pid } }
}
