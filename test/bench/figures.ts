/** What a bar has measured, and how it is printed: the median of the runs, their spread, and the target beside it. */

import { MiB, SECOND_MS } from '../../src/common/units.ts'

/** `rate` in bytes a second, `time` in seconds, `size` in bytes; `share` and `ratio` are plain numbers. */
export type Unit = 'rate' | 'time' | 'size' | 'share' | 'ratio'

export type Target = { atLeast: number } | { atMost: number }

export interface Figure {
  what: string
  unit: Unit
  /** One a run. */
  values: number[]
  target?: Target | undefined
}

const FORMATS: Record<Unit, (value: number) => string> = {
  rate: (value) => `${(value / MiB).toFixed(value < 100 * MiB ? 1 : 0)} MiB/s`,
  time: (value) => (value < 1 ? `${(value * SECOND_MS).toFixed(0)} ms` : `${value.toFixed(2)} s`),
  size: (value) => `${(value / MiB).toFixed(0)} MiB`,
  share: (value) => `${(value * 100).toFixed(1)} %`,
  ratio: (value) => `${value.toFixed(3)} x`,
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low = Number.NaN, high = Number.NaN] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]]
  return (low + high) / 2
}

export function isMet(value: number, target: Target): boolean {
  return 'atLeast' in target ? value >= target.atLeast : value <= target.atMost
}

/** Columns of one figure: what, median, spread over the runs, target, verdict. */
export function rowOf({ what, unit, values, target }: Figure): string[] {
  const format = FORMATS[unit]
  const middle = median(values)
  const spread = values.length === 1 ? '' : `${format(Math.min(...values))} to ${format(Math.max(...values))}`
  if (target === undefined) return [what, format(middle), spread, '', '']
  const bound = 'atLeast' in target ? `>= ${format(target.atLeast)}` : `<= ${format(target.atMost)}`
  return [what, format(middle), spread, bound, isMet(middle, target) ? 'met' : 'MISSED']
}

export function printTable(rows: string[][]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of rows) {
    const cells = row.map((cell, column) => cell.padEnd(widths[column] ?? 0))
    console.log(`  ${cells.join('  ')}`.trimEnd())
  }
}
