/** Tells how far an import is: a few times a second, with its speed and the time that is left. Called by `add.ts`. */

import type { Clock } from '../../common/clock.ts'
import type { OnProgress } from '../../common/progress.ts'
import { etaSeconds, RateMeter } from '../../common/rate-meter.ts'
import type { TreeSummary } from '../../files/tree.ts'
import type { ImportCounts } from './import-tree.ts'

const INTERVAL_MS = 100

export interface ProgressReporter {
  /** The counts have gone up. */
  changed(): void
  /** They will not any more. */
  finished(): void
}

/** @param summaries - of all sources; undefined stands for a stream, whose end is not known */
export function progressReporter(
  counts: ImportCounts,
  summaries: (TreeSummary | undefined)[],
  clock: Clock,
  onProgress: OnProgress | undefined,
): ProgressReporter {
  const totals = totalsOf(summaries)
  const meter = new RateMeter()
  let lastMs = Number.NEGATIVE_INFINITY
  const report = () => {
    lastMs = clock.monotonicMs()
    const { bytes, files } = counts
    const bytesPerSecond = meter.note(lastMs, bytes)
    const eta = etaSeconds(bytes, totals.totalBytes, bytesPerSecond)
    onProgress?.({ type: 'add-progress', bytes, files, ...totals, bytesPerSecond, etaSeconds: eta })
  }
  return {
    changed: () => {
      if (clock.monotonicMs() - lastMs >= INTERVAL_MS) report()
    },
    finished: report,
  }
}

/** Of the sources that can be imported. */
function totalsOf(summaries: (TreeSummary | undefined)[]): { totalBytes: number | null; totalFiles: number | null } {
  let totalBytes = 0
  let totalFiles = 0
  for (const summary of summaries) {
    if (summary === undefined) return { totalBytes: null, totalFiles: null }
    if (summary.problems.length > 0) continue
    totalBytes += summary.bytes
    totalFiles += summary.files
  }
  return { totalBytes, totalFiles }
}
