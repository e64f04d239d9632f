/** Commands that need no network: how fast they start. */

import { p2pBinary } from '../../support/processes.ts'
import type { Bar } from '../bar.ts'
import { contest, timeCommand } from '../measure.ts'
import { p2pEnv } from '../p2p-env.ts'

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
