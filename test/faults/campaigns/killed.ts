/** SIGKILL just before each call that changes what is on the disk, or makes a change last. */

import { CHANGING_CALLS } from '../calls/intercept.ts'
import type { Campaign } from '../campaign.ts'
import { addInPlace, addToNewRepo, addToUsedRepo } from '../jobs/add.ts'
import { getFolder, getOverOther } from '../jobs/get.ts'
import { changeSetting, collect, removePin } from '../jobs/keep.ts'
import { tryPoints } from './points.ts'

export const killed: Campaign = {
  name: 'killed',
  title: 'SIGKILL at every write, rename, fsync and unlink: what was acknowledged is there, the same command goes on',
  atLeast: 300,
  run: (ground) =>
    tryPoints(ground, {
      name: 'killed',
      jobs: [addToNewRepo, addToUsedRepo, addInPlace, getFolder, getOverOther, removePin, collect, changeSetting],
      kinds: [{ counted: CHANGING_CALLS }],
      judge: (job, { site, stdout, code }) => {
        return job.check(site, { code, stdout: stdout.toString() })
      },
    }),
}
