/** The sum of several slow links: 4 seeders, each behind one of 8 MiB/s. */

import { MiB } from '../../../src/common/units.ts'
import type { Bar } from '../bar.ts'
import { makeFile } from '../content.ts'
import { getThroughLinks } from '../download.ts'
import { type Contender, runInTurns } from '../measure.ts'
import { helia, kubo, present } from '../others.ts'
import { alike, startSeeders } from '../seeders.ts'

const RATE = 8 * MiB
const LINKS = alike(4, { bytesPerSecond: RATE })

export const throttled: Bar = {
  name: 'throttled',
  title:
    '4 seeders, each behind a link of 8 MiB/s: share of 32 MiB/s, from process start to the renamed, verified file',
  mib: 256,
  measure: async (bench) => {
    const { scope, folder, byteCount, runs } = bench
    const file = await makeFile(folder, byteCount)
    const { cid, seeders } = await startSeeders(scope, { folder, path: file.path, links: LINKS })
    const ours: Contender = { name: 'p2p get', run: () => getThroughLinks(scope, { folder, cid, seeders }, file) }
    const contenders = [
      ours,
      ...(await present(bench, [{ other: kubo(bench, file, LINKS) }, { other: helia(bench, file, LINKS) }])),
    ]
    const samples = await runInTurns(contenders, runs)
    return contenders.map((contender, i) => ({
      what: contender.name,
      unit: 'share',
      values: samples[i]!.map(({ seconds }) => byteCount / seconds / (LINKS.length * RATE)),
      target: contender === ours ? { atLeast: 0.95 } : undefined,
    }))
  },
}
