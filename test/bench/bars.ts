/** What `npm run bench` compares: each bar one job of ours, and the other ways to do the same job. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeRandomFile } from '../support/bytes.ts'
import type { CleanUpScope } from '../support/clean-up.ts'
import { addPath, p2pBinary, startServe } from '../support/processes.ts'
import { type Contender, timeCommand } from './measure.ts'
import { setUpOthers } from './others.ts'

export interface Workload {
  /** Where everything is put that a bar needs; removed at the end. */
  folder: string
  byteCount: number
}

export interface Contest {
  ours: Contender
  others: Contender[]
  /** Why a contender does not take part. */
  skipped: string[]
}

export interface Bar {
  name: string
  title: string
  figure: 'rate' | 'time'
  /** For bars that are over in no time and need more runs than asked for. */
  fixedRuns?: number
  setUp(scope: CleanUpScope, workload: Workload): Promise<Contest>
}

/** The environment of a `p2p` that must not see the settings of whoever runs the bench. */
function p2pEnv(repo: string): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: repo, P2P_PATH: repo, P2P_BOOTSTRAP: 'none' }
}

async function makeFile({ folder, byteCount }: Workload): Promise<{ path: string; sha256: string }> {
  const path = join(folder, 'file')
  return { path, sha256: await writeRandomFile(path, 'bench', byteCount) }
}

const version: Bar = {
  name: 'version',
  title: 'p2p --version, whole command, beside a Node that does nothing',
  figure: 'time',
  fixedRuns: 21,
  setUp: async (_scope, { folder }) => ({
    ours: {
      name: 'p2p --version',
      run: () => timeCommand({ command: process.execPath, args: [p2pBinary, '--version'], env: p2pEnv(folder) }),
    },
    others: [
      {
        name: 'node -e 0',
        run: () => timeCommand({ command: process.execPath, args: ['-e', '0'], env: p2pEnv(folder) }),
      },
    ],
    skipped: [],
  }),
}

const add: Bar = {
  name: 'add',
  title: 'p2p add of a file into a new repo, whole command, beside a synced copy of the file',
  figure: 'rate',
  setUp: async (_scope, workload) => {
    const { path } = await makeFile(workload)
    const repo = join(workload.folder, 'add-repo')
    const copy = join(workload.folder, 'add-copy')
    return {
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
      skipped: [],
    }
  },
}

const get: Bar = {
  name: 'get',
  title: 'p2p get of a file from one seeder on loopback, whole command, from process start to the renamed file',
  figure: 'rate',
  setUp: async (scope, workload) => {
    const { folder } = workload
    const file = await makeFile(workload)
    const cid = await addPath(join(folder, 'seeder'), file.path)
    const seeder = await startServe(scope, join(folder, 'seeder'))
    const repo = join(folder, 'get-repo')
    const copy = join(folder, 'get-copy')
    const args = [p2pBinary, 'get', cid, '-o', copy, '--peer', seeder.multiaddr]
    const { others, skipped } = await setUpOthers(scope, folder, file)
    return {
      ours: {
        name: 'p2p get',
        run: () => timeCommand({ command: process.execPath, args, env: p2pEnv(repo) }),
        tidy: async () => {
          await rm(repo, { recursive: true })
          await rm(copy)
        },
      },
      others,
      skipped,
    }
  },
}

export const bars: Bar[] = [version, add, get]
