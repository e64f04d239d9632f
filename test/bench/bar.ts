/** What a bar is: one row, or a few that belong together, of the table that `npm run bench` prints. */

import type { CleanUpScope } from '../support/clean-up.ts'
import type { Figure } from './figures.ts'

/** What a bar gets to work with. */
export interface Bench {
  /** Ends with the bar. */
  scope: CleanUpScope
  /** Where everything is put that the bar needs; removed with the scope. */
  folder: string
  byteCount: number
  runs: number
  /** Others take part too that take minutes a run. */
  withSlowOthers: boolean
  /** Prints a remark below the figures, as why a contender does not take part. */
  note(text: string): void
}

export interface Bar {
  name: string
  /** What is done, and from when to when it is timed. */
  title: string
  /** Size of the file, in MiB, that the targets are about; left out where the bar needs none. */
  mib?: number
  /** For bars that are over in no time and need more runs than asked for. */
  fixedRuns?: number
  /** @throws Error if something is not as it must be for the figures to count */
  measure(bench: Bench): Promise<Figure[]>
}
