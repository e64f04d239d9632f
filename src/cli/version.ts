/** The version of this program. */

import { readFileSync } from 'node:fs'

/** From the package that this program is part of: `dist/bundle/cli/` and `dist/src/cli/` are three folders below it. */
export function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
  return version
}
