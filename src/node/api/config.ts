/** Operations on the settings of the user. */

import type { OperationOptions } from './operation.ts'

export interface ConfigSetOptions extends OperationOptions {
  /** Of the setting, as `limits.up`. */
  name: string
  /** Its value as on a command line: several words for a list, `none` for an empty one. */
  words: string[]
}

export interface ConfigSetResult {
  name: string
  /** As in the file. */
  value: unknown
  /** The file that it was written to. */
  path: string
  /** Who holds the repo, and goes by what it read when it started. */
  holder: { command: string; pid: number }
}
