/** Small commands on a repo, alone and through the one that holds it, beside a Node that does nothing. */

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { KiB } from '../../../src/common/units.ts'
import { randomBytes } from '../../support/bytes.ts'
import { addPath, p2pBinary, startServe } from '../../support/processes.ts'
import type { Bar } from '../bar.ts'
import type { Figure } from '../figures.ts'
import { contest, timeCommand } from '../measure.ts'
import { p2pEnv } from '../p2p-env.ts'

const MOST_THROUGH_HOLDER = 4
const MOST_ALONE = 6

export const smallCommands: Bar = {
  name: 'small-commands',
  title: 'p2p add of 1 KiB and p2p ls of a small folder, beside node -e 0; whole commands',
  fixedRuns: 21,
  measure: async ({ scope, folder, runs }) => {
    const repo = join(folder, 'repo')
    const tree = join(folder, 'tree')
    await mkdir(tree)
    for (const name of ['one', 'two', 'three']) await writeFile(join(tree, name), name)
    const path = join(folder, 'file')
    await writeFile(path, randomBytes('small', KiB))
    const commands = [
      ['add', path],
      ['ls', await addPath(repo, tree)],
    ]
    const node = (args: string[]) => timeCommand({ command: process.execPath, args, env: p2pEnv(repo) })
    const beside = async (how: string, atMost: number): Promise<Figure[]> => {
      const figures: Figure[] = []
      for (const args of commands) {
        const ours = { name: `p2p ${args[0]} ${how}`, run: () => node([p2pBinary, ...args]) }
        const others = [{ name: 'node -e 0', run: () => node(['-e', '0']), target: { atMost } }]
        figures.push(...(await contest({ ours, others, runs, unit: 'time', show: (seconds) => seconds })))
      }
      return figures
    }
    const alone = await beside('alone', MOST_ALONE)
    const holder = await startServe(scope, repo)
    const shared = await beside('through the holder', MOST_THROUGH_HOLDER)
    await holder.stop()
    return [...alone, ...shared]
  },
}
