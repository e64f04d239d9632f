/** A seeder that dies in the middle of a download: how long nothing new comes. */

import { MiB, SECOND_MS } from '../../../src/common/units.ts'
import type { Bar } from '../bar.ts'
import { makeFile } from '../content.ts'
import { type Download, startGet } from '../download.ts'
import { alike, startSeeders } from '../seeders.ts'

const LINKS = alike(4, { bytesPerSecond: 8 * MiB })

export const killedSeeder: Bar = {
  name: 'killed-seeder',
  title:
    'One of 4 seeders, each behind a link of 8 MiB/s, SIGKILLed half-way: longest time without a new verified byte, ' +
    'from the first to the last, as progress events tell it (every 400 ms)',
  mib: 256,
  measure: async ({ scope, folder, byteCount, runs }) => {
    const file = await makeFile(folder, byteCount)
    const { cid, seeders } = await startSeeders(scope, { folder, path: file.path, links: LINKS })
    const peers = seeders.map(({ address }) => address)
    const [victim] = seeders
    const pauses: number[] = []
    for (let run = 0; run < runs; run++) {
      const get = await startGet(scope, { folder, cid, peers })
      await get.process.waitForEvent('progress', ({ bytes }) => Number(bytes) >= byteCount / 2)
      await victim!.kill()
      const download = await get.finished
      await download.checkAndRemove(file)
      pauses.push(longestPause(download.progress))
      await victim!.restart()
    }
    return [{ what: 'longest pause', unit: 'time', values: pauses, target: { atMost: 2 } }]
  },
}

/** In seconds, between two events that each tell of more bytes than all before. */
function longestPause(progress: Download['progress']): number {
  const steps = progress.filter(({ bytes }, i) => bytes > (progress[i - 1]?.bytes ?? 0))
  return Math.max(...steps.slice(1).map(({ atMs }, i) => (atMs - steps[i]!.atMs) / SECOND_MS))
}
