/** What is added and downloaded: a tree with an inner node, small files, a folder, a link. */

import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MiB } from '../../../src/common/units.ts'
import { randomBytes } from '../../support/bytes.ts'

/** Those of its files that are under 1 MiB. */
export const SMALL_FILES = ['small.txt', 'inner/shared.txt']

/** Makes the tree in `folder`. The same for the same seed but for the files that are in every one. */
export async function makeTree(folder: string, seed: string): Promise<void> {
  await mkdir(join(folder, 'inner'), { recursive: true })
  await writeFile(join(folder, 'large.bin'), randomBytes(`${seed} large`, MiB + 70_000))
  await writeFile(join(folder, 'small.txt'), randomBytes(`${seed} small`, 3000))
  await writeFile(join(folder, 'inner', 'shared.txt'), randomBytes('in every tree', 5000))
  await symlink('small.txt', join(folder, 'link'))
}
