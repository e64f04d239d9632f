/**
 * `npm run bench`: figures of the built binary beside those of other tools, each pair from the same minutes on the same
 * machine. `npm run bench -- [--mib 512] [--runs 5] [bar…]`, with the names of `bars.ts`; none means all. Nothing here is
 * a test: it prints what it measured.
 */

import { cpus, release, totalmem, type } from 'node:os'
import { parseArgs } from 'node:util'
import { formatBytes, MiB } from '../../src/common/units.ts'
import { type CleanUpScope, withCleanUp } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'
import { type Bar, bars, type Workload } from './bars.ts'
import { type Contender, median, runInTurns, type Sample } from './measure.ts'

const MEMORY_UNKNOWN = '-'

const HEADER = ['bar', 'ours', 'other', '', 'ratio', 'median of']

async function main(scope: CleanUpScope): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { mib: { type: 'string', default: '512' }, runs: { type: 'string', default: '5' } },
    allowPositionals: true,
  })
  const byteCount = Number(values.mib) * MiB
  const runs = Number(values.runs)
  const chosen = bars.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
  const unknown = positionals.filter((name) => !bars.some((bar) => bar.name === name))
  if (unknown.length > 0 || !(byteCount > 0) || !(runs >= 1)) {
    throw new Error(`usage: npm run bench -- [--mib 512] [--runs 5] [${bars.map(({ name }) => name).join('|')}]…`)
  }
  const folder = await makeTempDir(scope)
  console.log(`${formatBytes(byteCount)}, ${folder}, ${describeMachine()}`)
  console.log('The ratio is the median of the ratios within each round, not the ratio of the medians beside it.')
  for (const bar of chosen) await runBar(scope, bar, { folder, byteCount }, bar.fixedRuns ?? runs)
}

async function runBar(scope: CleanUpScope, bar: Bar, workload: Workload, runs: number): Promise<void> {
  const { ours, others, skipped } = await bar.setUp(scope, workload)
  const samples = await runInTurns([ours, ...others], runs)
  const samplesOf = ({ name }: Contender): Sample[] => samples.get(name) ?? []
  const rows = others.map((other) => compare(bar, samplesOf(ours), other.name, samplesOf(other), workload))
  rows.push([`  peak memory: ${formatPeak(samplesOf(ours))}`, '', '', '', '', ''])
  for (const reason of skipped) rows.push([`  skipped: ${reason}`, '', '', '', '', ''])
  console.log(`\n${bar.title}`)
  printTable([HEADER, ...rows])
}

/** A ratio above 1 is in our favour for a rate, and our cost for a time. */
function compare(bar: Bar, ours: Sample[], name: string, other: Sample[], { byteCount }: Workload): string[] {
  const figure = ({ seconds }: Sample): number => (bar.figure === 'rate' ? byteCount / seconds : seconds)
  const format = (samples: Sample[]): string => {
    const value = median(samples.map(figure))
    return bar.figure === 'rate' ? `${(value / MiB).toFixed(0)} MiB/s` : `${(value * 1000).toFixed(0)} ms`
  }
  const ratios = ours.map((sample, i) => figure(sample) / figure(other[i] ?? sample))
  return [bar.name, format(ours), format(other), name, `${median(ratios).toFixed(2)} x`, String(ours.length)]
}

function formatPeak(samples: Sample[]): string {
  const peaks = samples.flatMap(({ peakBytes }) => (peakBytes === undefined ? [] : [peakBytes]))
  return peaks.length === 0 ? MEMORY_UNKNOWN : `${formatBytes(median(peaks))} (median VmHWM of ours)`
}

function printTable(rows: string[][]): void {
  // A row with one cell only is a remark, and no column is as wide as a remark.
  const isRemark = (row: string[]): boolean => row.slice(1).every((cell) => cell === '')
  const widths = HEADER.map((_, column) =>
    Math.max(...rows.filter((row) => !isRemark(row)).map((row) => row[column]?.length ?? 0)),
  )
  for (const row of rows)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
}

function describeMachine(): string {
  const processors = cpus()
  const cores = `${processors.length} x ${processors[0]?.model.trim()}`
  return `${cores}, ${formatBytes(totalmem())} of memory, ${type()} ${release()}, Node ${process.versions.node}`
}

await withCleanUp(main)
