/** Going on with a large download: what was placed before is not read again, so the first new byte comes soon. */

import { join } from 'node:path'
import { sleep } from '../../../src/common/abort.ts'
import { KiB, MiB, SECOND_MS } from '../../../src/common/units.ts'
import { addPath, startP2p } from '../../support/processes.ts'
import { makeTempDir } from '../../support/temp.ts'
import type { Bar, Bench } from '../bar.ts'
import { makeFile } from '../content.ts'
import { countBytes, type Seeder, startSeeders } from '../seeders.ts'

const SMALL_BYTES = 16 * MiB
/** More than handshakes and inner nodes of the small file take, and less than a leaf. */
const FIRST_BYTES = 256 * KiB
const LOOK_MS = 2

export const resume: Bar = {
  name: 'resume',
  title:
    `A get that was SIGKILLed half-way, started again: from process start to the first ${FIRST_BYTES / KiB} KiB ` +
    'through the link, beside starting with a small file',
  mib: 10 * 1024,
  measure: async (bench) => {
    const { scope, folder, byteCount, runs } = bench
    const small = await makeFile(await makeTempDir(scope, folder), SMALL_BYTES)
    const smallCid = await addPath(join(folder, 'seeder-0'), small.path)
    const large = await makeFile(await makeTempDir(scope, folder), byteCount)
    const { cid, seeders } = await startSeeders(scope, { folder, path: large.path, links: [{}] })

    const halfDone = await makeTempDir(scope, folder)
    const first = startGet(bench, seeders, { cid, folder: halfDone })
    await first.waitForEvent('progress', ({ bytes }) => Number(bytes) >= byteCount / 2)
    first.kill('SIGKILL')
    await first.finished

    const [resumed, started]: [number[], number[]] = [[], []]
    for (let run = 0; run < runs; run++) {
      resumed.push(await secondsToFirstBytes(bench, seeders, { cid, folder: halfDone }))
      const empty = await makeTempDir(scope, folder)
      started.push(await secondsToFirstBytes(bench, seeders, { cid: smallCid, folder: empty }))
    }
    return [
      { what: 'goes on with the large file', unit: 'time', values: resumed },
      { what: 'starts with a small one', unit: 'time', values: started },
      {
        what: 'difference',
        unit: 'time',
        values: resumed.map((seconds, run) => seconds - started[run]!),
        target: { atMost: 1 },
      },
    ]
  },
}

interface GetJob {
  cid: string
  /** Where the repo and the copy are. */
  folder: string
}

function startGet({ scope }: Bench, seeders: Seeder[], { cid, folder }: GetJob) {
  const peers = seeders.flatMap(({ address }) => ['--peer', address])
  return startP2p(scope, ['get', cid, '-o', join(folder, 'copy'), ...peers, '--json'], { repo: join(folder, 'repo') })
}

/** Kills the process then, so that there is as much left to do the next time. */
async function secondsToFirstBytes(bench: Bench, seeders: Seeder[], job: GetJob): Promise<number> {
  const received = countBytes(seeders)
  const startedAt = performance.now()
  const get = startGet(bench, seeders, job)
  while (received() < FIRST_BYTES) await sleep(LOOK_MS)
  const seconds = (performance.now() - startedAt) / SECOND_MS
  get.kill('SIGKILL')
  await get.finished
  return seconds
}
