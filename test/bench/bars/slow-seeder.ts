/** A slow seeder must not cost the time that it would take to wait for it. */

import { MiB } from '../../../src/common/units.ts'
import type { Bar } from '../bar.ts'
import { makeFile } from '../content.ts'
import { getThroughLinks } from '../download.ts'
import type { Target } from '../figures.ts'
import { type Contender, contest } from '../measure.ts'
import { alike, type Seeder, startSeeders } from '../seeders.ts'

const RATE = 8 * MiB
const FAST = alike(3, { bytesPerSecond: RATE })
const SLOW = { bytesPerSecond: RATE / 20 }

export const slowSeeder: Bar = {
  name: 'slow-seeder',
  title: '3 seeders behind links of 8 MiB/s, with and without a fourth at 1/20 of that; to the renamed, verified file',
  mib: 256,
  measure: async ({ scope, folder, byteCount, runs }) => {
    const file = await makeFile(folder, byteCount)
    const { cid, seeders } = await startSeeders(scope, { folder, path: file.path, links: [...FAST, SLOW] })
    const fast = seeders.slice(0, FAST.length)
    const contender = (name: string, from: Seeder[], target?: Target): Contender => {
      return { name, target, run: () => getThroughLinks(scope, { folder, cid, seeders: from }, file) }
    }
    return await contest({
      ours: contender('with it', seeders),
      others: [contender('without it', fast, { atMost: 1.1 })],
      runs,
      unit: 'time',
      show: (seconds) => seconds,
    })
  },
}
