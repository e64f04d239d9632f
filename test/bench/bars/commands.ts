/** Commands that need no network: how fast they start, how fast `add` is. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { p2pBinary } from '../../support/processes.ts'
import type { Bar } from '../bar.ts'
import { makeFile } from '../content.ts'
import { contest, timeCommand } from '../measure.ts'

/** The environment of a `p2p` that must not see the settings of whoever runs the bench. */
export function p2pEnv(repo: string): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: repo, P2P_PATH: repo, P2P_BOOTSTRAP: 'none' }
}

export const version: Bar = {
  name: 'version',
  title: 'p2p --version beside a Node that does nothing; whole commands',
  fixedRuns: 21,
  measure: async ({ folder, runs }) => {
    const node = (name: string, args: string[]) => ({
      name,
      run: () => timeCommand({ command: process.execPath, args, env: p2pEnv(folder) }),
    })
    return await contest({
      ours: node('p2p --version', [p2pBinary, '--version']),
      others: [node('node -e 0', ['-e', '0'])],
      runs,
      unit: 'time',
      show: (seconds) => seconds,
    })
  },
}

export const add: Bar = {
  name: 'add',
  title: 'p2p add of a file into a new repo beside a synced copy of the file; whole commands',
  mib: 512,
  measure: async ({ folder, byteCount, runs }) => {
    const { path } = await makeFile(folder, byteCount)
    const repo = join(folder, 'add-repo')
    const copy = join(folder, 'add-copy')
    return await contest({
      ours: {
        name: 'p2p add',
        run: () => timeCommand({ command: process.execPath, args: [p2pBinary, 'add', path], env: p2pEnv(repo) }),
        tidy: () => rm(repo, { recursive: true }),
      },
      others: [
        {
          name: 'cp && sync',
          run: () => timeCommand({ command: 'sh', args: ['-c', 'cp "$1" "$2" && sync "$2"', 'sh', path, copy] }),
          tidy: () => rm(copy),
        },
      ],
      runs,
      unit: 'rate',
      show: (seconds) => byteCount / seconds,
    })
  },
}
