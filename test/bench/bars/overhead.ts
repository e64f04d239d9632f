/** What a file costs in bytes when more and more seeders could send the same block. */

import type { Bar } from '../bar.ts'
import { makeFile } from '../content.ts'
import { getThroughLinks } from '../download.ts'
import type { Figure } from '../figures.ts'
import { alike, startSeeders } from '../seeders.ts'

const SEEDER_COUNTS = [1, 2, 4, 8]

export const overhead: Bar = {
  name: 'overhead',
  title: 'Bytes received / file size: what the proxies before the seeders passed on, and what the tool itself counts',
  mib: 256,
  measure: async ({ scope, folder, byteCount, runs }) => {
    const file = await makeFile(folder, byteCount)
    const links = alike(Math.max(...SEEDER_COUNTS), {})
    const { cid, seeders } = await startSeeders(scope, { folder, path: file.path, links })
    const figures: Figure[] = []
    for (const count of SEEDER_COUNTS) {
      const passed: number[] = []
      const counted: number[] = []
      for (let run = 0; run < runs; run++) {
        const job = { folder, cid, seeders: seeders.slice(0, count) }
        const { linkBytes, stats } = await getThroughLinks(scope, job, file)
        passed.push(linkBytes / byteCount)
        counted.push(stats.receivedBytes / byteCount)
      }
      const from = count === 1 ? '1 seeder' : `${count} seeders`
      figures.push({ what: `${from}, the proxies' count`, unit: 'ratio', values: passed, target: { atMost: 1.01 } })
      figures.push({ what: `${from}, the tool's count`, unit: 'ratio', values: counted, target: { atMost: 1.01 } })
    }
    return figures
  },
}
