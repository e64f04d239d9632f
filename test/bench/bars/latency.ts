/** A link that is fast and long: enough has to be asked for ahead. */

import { MiB, SECOND_MS } from '../../../src/common/units.ts'
import type { Bar } from '../bar.ts'
import { makeFile } from '../content.ts'
import { type Download, getThroughLinks } from '../download.ts'
import { startSeeders } from '../seeders.ts'

const LINK = { bytesPerSecond: 25 * MiB, delayMs: 50 }

export const latency: Bar = {
  name: 'latency',
  title:
    'One seeder behind a link of 25 MiB/s with 100 ms there and back: share of its rate, from process start to the ' +
    'renamed, verified file, and for the steady part between 10 % and 90 %',
  mib: 256,
  measure: async ({ scope, folder, byteCount, runs }) => {
    const file = await makeFile(folder, byteCount)
    const { cid, seeders } = await startSeeders(scope, { folder, path: file.path, links: [LINK] })
    const whole: number[] = []
    const steady: number[] = []
    for (let run = 0; run < runs; run++) {
      const { seconds, progress } = await getThroughLinks(scope, { folder, cid, seeders }, file)
      whole.push(byteCount / seconds / LINK.bytesPerSecond)
      steady.push(steadyRate(progress, byteCount) / LINK.bytesPerSecond)
    }
    return [
      { what: 'whole download', unit: 'share', values: whole, target: { atLeast: 0.8 } },
      { what: 'steady part', unit: 'share', values: steady },
    ]
  },
}

function steadyRate(progress: Download['progress'], byteCount: number): number {
  const steady = progress.filter(({ bytes }) => bytes >= 0.1 * byteCount && bytes <= 0.9 * byteCount)
  const [first, last] = [steady[0], steady.at(-1)]
  if (first === undefined || last === undefined || last === first) return Number.NaN
  return (last.bytes - first.bytes) / ((last.atMs - first.atMs) / SECOND_MS)
}
