/** Many small files: what each of them costs beside its bytes. In memory where the system has a tmpfs. */

import { access } from 'node:fs/promises'
import { KiB } from '../../../src/common/units.ts'
import { makeTempDir } from '../../support/temp.ts'
import type { Bar, Bench } from '../bar.ts'
import { makeFolder } from '../content.ts'
import { p2pGet } from '../download.ts'
import { contest } from '../measure.ts'
import { helia, kubo, present, tarOverSocat } from '../others.ts'
import { startDirectSeeder } from '../seeders.ts'

const TMPFS = '/dev/shm'

export const smallFiles: Bar = {
  name: 'small-files',
  title:
    '10,000 files of 4 KiB in 100 folders, one seeder. p2p get: from process start to the renamed, verified folder; ' +
    'tar: whole command; nodes: from the call to its end',
  measure: async (outer) => {
    const bench: Bench = { ...outer, folder: await tmpfsFolder(outer) }
    const { scope, folder, runs, withSlowOthers } = bench
    const tree = await makeFolder(folder, { folderCount: 100, filesEach: 100, fileBytes: 4 * KiB })
    const { cid, address } = await startDirectSeeder(scope, { folder, path: tree.path })
    const slow = withSlowOthers ? kubo(bench, tree) : Promise.resolve('Kubo: it takes minutes; --slow-others runs it')
    const others = await present(bench, [
      { other: helia(bench, tree), target: { atLeast: 8 } },
      { other: tarOverSocat(bench, tree), target: { atMost: 4 } },
      { other: slow },
    ])
    return await contest({
      ours: p2pGet(scope, { folder, cid, peers: [address] }, tree),
      others,
      runs,
      unit: 'time',
      show: (seconds) => seconds,
    })
  },
}

async function tmpfsFolder({ scope, folder, note }: Bench): Promise<string> {
  const isThere = await access(TMPFS).then(
    () => true,
    () => false,
  )
  if (isThere) return await makeTempDir(scope, TMPFS)
  note(`on disk, for there is no ${TMPFS}`)
  return folder
}
