/** Whether the system's calls can be stood in front of here, and the library that does it. */

import { spawnSync } from 'node:child_process'
import { buildIntercept } from '../faults/calls/intercept.ts'
import type { CleanUpScope } from './clean-up.ts'
import { makeTempDir } from './temp.ts'

const canCompile = process.platform === 'linux' && spawnSync('cc', ['--version'], { stdio: 'ignore' }).status === 0

export const intercept = {
  /** For `skip`: why not, or false. */
  why: canCompile ? (false as const) : 'needs Linux and a C compiler',
  library: async (scope: CleanUpScope): Promise<string> => await buildIntercept(await makeTempDir(scope)),
}
