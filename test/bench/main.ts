/**
 * `npm run bench`: figures of the built binary, beside those of other tools in the same minutes on the same machine, and
 * beside the targets that are set for them.
 *
 *   npm run bench -- [--runs 5] [--mib <size>] [--slow-others] [bar…]
 *
 * Bars are those of `bars/`; none named means all, which takes one to two hours. Each bar has the file size that its targets are
 * about, which `--mib` overrides. What is printed is the median of the runs, and their spread. Every copy is compared with
 * its original, which is not timed. Nothing here is a test: it prints what it measured, and ends with exit code 1 only if
 * a bar could not be measured.
 *
 *   links          what the throttling proxies let through to plain sockets: the measuring device itself
 *   version        how fast a command starts
 *   add            a file into a new repo, beside Kubo, Helia and a synced copy
 *   add-small      10,000 files of 4 KiB, beside the same
 *   add-many       100,000 small files: peak memory
 *   large-repo     commands and a server on 1,000,000 blocks, beside 1,000
 *   small-commands small ones alone and through the holder
 *   get            one seeder, beside a bare libp2p stream, socat, Kubo and Helia
 *   throttled      4 seeders behind links of 8 MiB/s, beside Kubo and Helia
 *   overhead       bytes received / file size with 1, 2, 4 and 8 seeders
 *   slow-seeder    one of 4 at 1/20 of the others' speed
 *   killed-seeder  one of 4 killed half-way
 *   crowd          8 receivers, one seeder behind a link of 8 MiB/s
 *   latency        a link of 25 MiB/s with 100 ms there and back
 *   small-files    10,000 files of 4 KiB, beside Helia and tar, with `--slow-others` Kubo too
 *   memory         peak memory at the size and ten times the size
 *   resume         10 GiB, half of which is there: how soon the first new byte comes
 */

import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { parseArgs } from 'node:util'
import { messageOf } from '../../src/common/errors.ts'
import { formatBytes, formatDuration, MiB } from '../../src/common/units.ts'
import { withCleanUp } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'
import type { Bar } from './bar.ts'
import { add, addSmall } from './bars/add.ts'
import { addAgain } from './bars/add-again.ts'
import { addMany } from './bars/add-many.ts'
import { barrier } from './bars/barrier.ts'
import { version } from './bars/commands.ts'
import { crowd } from './bars/crowd.ts'
import { get } from './bars/get.ts'
import { killedSeeder } from './bars/killed-seeder.ts'
import { largeRepo } from './bars/large-repo.ts'
import { latency } from './bars/latency.ts'
import { links } from './bars/links.ts'
import { manyBlocks } from './bars/many-blocks.ts'
import { memory } from './bars/memory.ts'
import { overhead } from './bars/overhead.ts'
import { resume } from './bars/resume.ts'
import { slowSeeder } from './bars/slow-seeder.ts'
import { smallCommands } from './bars/small-commands.ts'
import { smallFiles } from './bars/small-files.ts'
import { throttled } from './bars/throttled.ts'
import { type Figure, printTable, rowOf } from './figures.ts'

const bars = [
  links,
  version,
  smallCommands,
  add,
  addSmall,
  addMany,
  barrier,
  addAgain,
  manyBlocks,
  largeRepo,
  get,
  throttled,
  overhead,
  slowSeeder,
  killedSeeder,
  crowd,
  latency,
  smallFiles,
  memory,
  resume,
] satisfies Bar[]

const USAGE = `usage: npm run bench -- [--runs 5] [--mib <size>] [--slow-others] [${bars.map(({ name }) => name).join('|')}]…`

interface Settings {
  runs: number
  /** Undefined: the size of each bar. */
  mib: number | undefined
  withSlowOthers: boolean
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      runs: { type: 'string', default: '5' },
      mib: { type: 'string' },
      'slow-others': { type: 'boolean', default: false },
    },
    allowPositionals: true,
  })
  const settings: Settings = {
    runs: Number(values.runs),
    mib: values.mib === undefined ? undefined : Number(values.mib),
    withSlowOthers: values['slow-others'],
  }
  const isKnown = positionals.every((name) => bars.some((bar) => bar.name === name))
  if (!isKnown || !(settings.runs >= 1) || (settings.mib !== undefined && !(settings.mib > 0))) throw new Error(USAGE)
  const chosen = bars.filter(({ name }) => positionals.length === 0 || positionals.includes(name))

  console.log(describeMachine())
  const targets: string[][] = []
  for (const bar of chosen) {
    try {
      const figures = await runBar(bar, settings)
      targets.push(
        ...figures.filter(({ target }) => target !== undefined).map((figure) => [bar.name, ...rowOf(figure)]),
      )
    } catch (error) {
      console.log(`  failed: ${messageOf(error)}`)
      targets.push([bar.name, 'FAILED', '', '', '', ''])
      process.exitCode = 1
    }
  }
  console.log('\nTargets')
  printTable(targets)
}

async function runBar(bar: Bar, { runs: chosenRuns, mib, withSlowOthers }: Settings): Promise<Figure[]> {
  const byteCount = (mib ?? bar.mib ?? 0) * MiB
  const runs = bar.fixedRuns ?? chosenRuns
  const size = bar.mib === undefined ? '' : `${formatBytes(byteCount)}, `
  console.log(`\n${bar.name}: ${bar.title} (${size}${runs === 1 ? '1 run' : `median of ${runs} runs`})`)
  const startedAt = performance.now()
  const notes: string[] = []
  const figures = await withCleanUp(async (scope) => {
    const folder = await makeTempDir(scope)
    return await bar.measure({ scope, folder, byteCount, runs, withSlowOthers, note: (text) => notes.push(text) })
  })
  printTable(figures.map(rowOf))
  for (const note of notes) console.log(`  ${note}`)
  console.log(`  (took ${formatDuration(performance.now() - startedAt)}; load average ${loadavg()[0]?.toFixed(1)})`)
  return figures
}

function describeMachine(): string {
  const processors = cpus()
  const cores = `${processors.length} x ${processors[0]?.model.trim()}`
  return `${cores}, ${formatBytes(totalmem())} of memory, ${type()} ${release()}, Node ${process.versions.node}`
}

await main()
