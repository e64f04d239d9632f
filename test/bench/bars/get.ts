/** One file from one seeder on loopback, as fast as it goes. */

import type { Bar } from '../bar.ts'
import { makeFile } from '../content.ts'
import { p2pGet } from '../download.ts'
import { contest } from '../measure.ts'
import { bareStream, helia, kubo, present, socat } from '../others.ts'
import { startDirectSeeder } from '../seeders.ts'

export const get: Bar = {
  name: 'get',
  title:
    'One seeder on loopback. p2p get: from process start to the renamed, verified file; bare stream and socat: whole ' +
    'commands; nodes: from the call to its end',
  mib: 1024,
  measure: async (bench) => {
    const { scope, folder, byteCount, runs } = bench
    const file = await makeFile(folder, byteCount)
    const { cid, address } = await startDirectSeeder(scope, { folder, path: file.path })
    const others = await present(bench, [
      { other: bareStream(bench, file), target: { atLeast: 0.8 } },
      { other: socat(bench, file), target: { atLeast: 0.9 } },
      { other: kubo(bench, file), target: { atLeast: 2 } },
      { other: helia(bench, file), target: { atLeast: 8 } },
    ])
    return await contest({
      ours: p2pGet(scope, { folder, cid, peers: [address] }, file),
      others,
      runs,
      unit: 'rate',
      show: (seconds) => byteCount / seconds,
    })
  },
}
