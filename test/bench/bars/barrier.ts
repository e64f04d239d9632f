/** What it costs that a printed CID survives a power cut. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { buildIntercept, interceptEnv } from '../../faults/calls/intercept.ts'
import { p2pBinary } from '../../support/processes.ts'
import type { Bar } from '../bar.ts'
import { makeFile } from '../content.ts'
import { contest, timeCommand } from '../measure.ts'
import { p2pEnv } from '../p2p-env.ts'

export const barrier: Bar = {
  name: 'barrier',
  title: 'p2p add of a file into a new repo beside the same without a single sync; whole commands',
  mib: 1024,
  fixedRuns: 7,
  measure: async ({ folder, byteCount, runs }) => {
    const { path } = await makeFile(folder, byteCount)
    const library = await buildIntercept(folder)
    const [repo, copy, log] = [join(folder, 'repo'), join(folder, 'copy'), join(folder, 'calls')]
    // Both with the library between, so that the syncs are all that differs.
    const add = (name: string, withoutSyncs: boolean) => ({
      name,
      run: () => {
        const env = { ...p2pEnv(repo), ...interceptEnv(library, { watched: [repo], log, withoutSyncs }) }
        return timeCommand({ command: process.execPath, args: [p2pBinary, 'add', path], env })
      },
      tidy: async () => {
        await rm(repo, { recursive: true })
        await rm(log)
      },
    })
    return await contest({
      ours: add('p2p add', false),
      others: [
        { ...add('without syncs', true), target: { atMost: 1.15 } },
        {
          name: 'cp && sync',
          run: () => timeCommand({ command: 'sh', args: ['-c', 'cp "$1" "$2" && sync "$2"', 'sh', path, copy] }),
          tidy: () => rm(copy),
        },
      ],
      runs,
      unit: 'time',
      show: (seconds) => seconds,
    })
  },
}
