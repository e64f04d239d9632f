/** The version of this program. */

import { readFileSync } from 'node:fs'

/** From the package that this program is part of: `dist/src/cli/` is three folders below it. */
export function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'))
  return version
}
