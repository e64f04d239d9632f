/** Whether a file is the result of an earlier run which ended before it could say so. Used by `node/operations/get.ts`. */

import { stat } from 'node:fs/promises'
import type { CID } from 'multiformats/cid'
import { isUnchanged } from '../blockstore/reference-codec.ts'
import type { References } from '../blockstore/references.ts'

/** Its size, if a download of this root has put it there and it has not been changed since; undefined for a folder. */
export async function finishedFileBytes(
  references: References,
  { path, root }: { path: string; root: CID },
): Promise<number | undefined> {
  for await (const tree of references.trees()) {
    if (tree.state !== 'finished' || tree.path !== path || tree.root !== root.toString()) continue
    for await (const file of references.filesOf(tree.id)) {
      if (file.name !== '') break
      const stats = await stat(path, { bigint: true }).catch(() => undefined)
      if (stats !== undefined && isUnchanged(file, stats)) return file.size
    }
  }
  return undefined
}
