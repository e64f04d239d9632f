/** Many receivers and one slow seeder: what it has sent to one, that one can pass on. */

import { MiB, SECOND_MS } from '../../../src/common/units.ts'
import type { Bar } from '../bar.ts'
import { makeFile } from '../content.ts'
import { assertThroughLinks, startGet } from '../download.ts'
import { countBytes, startSeeders } from '../seeders.ts'

const RECEIVERS = 8
const RATE = 8 * MiB

export const crowd: Bar = {
  name: 'crowd',
  title:
    `${RECEIVERS} receivers started at once, which reach each other directly, and one seeder behind a link of 8 MiB/s: ` +
    'from the first process start to the last renamed, verified file',
  mib: 256,
  measure: async ({ scope, folder, byteCount, runs }) => {
    const file = await makeFile(folder, byteCount)
    const { cid, seeders } = await startSeeders(scope, { folder, path: file.path, links: [{ bytesPerSecond: RATE }] })
    const peers = seeders.map(({ address }) => address)
    const times: number[] = []
    const sent: number[] = []
    for (let run = 0; run < runs; run++) {
      const linkBytes = countBytes(seeders)
      const gets = Array.from({ length: RECEIVERS }, () => startGet(scope, { folder, cid, peers }))
      const downloads = await Promise.all(gets.map(async (get) => (await get).finished))
      const sentBytes = linkBytes()
      const givenBytes = downloads
        .flatMap(({ stats }) => stats.peers)
        .reduce((sum, { peerId, bytes }) => sum + (peerId === seeders[0]!.peerId ? bytes : 0), 0)
      assertThroughLinks('p2p get', sentBytes, givenBytes)
      const startedAtMs = Math.min(...downloads.map((download) => download.startedAtMs))
      const finishedAtMs = Math.max(...downloads.map((download) => download.finishedAtMs))
      times.push((finishedAtMs - startedAtMs) / SECOND_MS / (byteCount / RATE))
      sent.push(sentBytes / byteCount)
      for (const download of downloads) await download.checkAndRemove(file)
    }
    return [
      { what: 'time of the last, in times of size / rate', unit: 'ratio', values: times, target: { atMost: 2 } },
      { what: 'bytes sent by the seeder / size', unit: 'ratio', values: sent, target: { atMost: 1.5 } },
    ]
  },
}
