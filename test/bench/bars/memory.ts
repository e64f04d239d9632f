/** Memory must not grow with the file. */

import { rm, statfs } from 'node:fs/promises'
import { formatBytes, MiB } from '../../../src/common/units.ts'
import { type CleanUpScope, openScope } from '../../support/clean-up.ts'
import { makeTempDir } from '../../support/temp.ts'
import type { Bar, Bench } from '../bar.ts'
import { makeFile } from '../content.ts'
import { getOnce } from '../download.ts'
import type { Figure } from '../figures.ts'
import { startDirectSeeder } from '../seeders.ts'

const LARGE = 10
/** The file and the seeder's copy, later that and the download; and some room. */
const DISK_RATIO = 2.2

export const memory: Bar = {
  name: 'memory',
  title: `Peak resident memory (VmHWM) of the p2p get process: a file, and one ${LARGE} times as large`,
  mib: 1024,
  measure: async (bench) => {
    const { folder, byteCount, note } = bench
    const small = await peaks(bench, byteCount)
    const figures = [figureOf(byteCount, small)]
    const { bavail, bsize } = await statfs(folder)
    if (bavail * bsize < LARGE * byteCount * DISK_RATIO) {
      note(`skipped: the large file, for ${folder} has too little room`)
      return figures
    }
    const large = await peaks(bench, LARGE * byteCount)
    return [
      ...figures,
      figureOf(LARGE * byteCount, large),
      {
        what: 'large against small',
        unit: 'ratio',
        values: large.map((peak, run) => peak / small[run]!),
        target: { atMost: 1.1 },
      },
    ]
  },
}

async function peaks(bench: Bench, byteCount: number): Promise<number[]> {
  const scope = openScope()
  try {
    return await peaksWithin(scope, bench, byteCount)
  } finally {
    // The disk need not hold one file beside the other.
    await scope.end()
  }
}

async function peaksWithin(scope: CleanUpScope, bench: Bench, byteCount: number): Promise<number[]> {
  const folder = await makeTempDir(scope, bench.folder)
  const file = await makeFile(folder, byteCount)
  const { cid, address } = await startDirectSeeder(scope, { folder, path: file.path })
  await rm(file.path)
  const values: number[] = []
  for (let run = 0; run < bench.runs; run++) {
    const { peakBytes } = await getOnce(scope, { folder, cid, peers: [address] }, file)
    if (peakBytes === undefined) throw new Error('this system does not tell the peak memory of a process')
    values.push(peakBytes)
  }
  return values
}

function figureOf(byteCount: number, values: number[]): Figure {
  return { what: formatBytes(byteCount), unit: 'size', values, target: { atMost: 200 * MiB } }
}
