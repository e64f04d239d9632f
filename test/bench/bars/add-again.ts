/** Adding what has not changed. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { KiB, SECOND_MS } from '../../../src/common/units.ts'
import { p2pBinary } from '../../support/processes.ts'
import type { Bar } from '../bar.ts'
import { makeFolder } from '../content.ts'
import { contest, timeCommand } from '../measure.ts'
import { p2pEnv } from '../p2p-env.ts'

/** Younger files are read again. */
const SETTLED_MS = 4 * SECOND_MS

export const addAgain: Bar = {
  name: 'add-again',
  title: 'p2p add of an unchanged tree of 10,000 files of 4 KiB beside the first time; whole commands',
  fixedRuns: 7,
  measure: async ({ folder, runs }) => {
    const { path } = await makeFolder(folder, { folderCount: 100, filesEach: 100, fileBytes: 4 * KiB })
    await sleep(SETTLED_MS)
    const [known, fresh] = [join(folder, 'known'), join(folder, 'fresh')]
    const add = (repo: string) =>
      timeCommand({ command: process.execPath, args: [p2pBinary, 'add', path], env: p2pEnv(repo) })
    await add(known)
    return await contest({
      ours: { name: 'p2p add, again', run: () => add(known) },
      others: [
        {
          name: 'the first time',
          target: { atLeast: 20 },
          run: () => add(fresh),
          tidy: () => rm(fresh, { recursive: true }),
        },
      ],
      runs,
      unit: 'time',
      show: (seconds) => seconds,
    })
  },
}
