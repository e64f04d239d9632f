/** What is sent around: seeded random files and folders, and how to see whether a copy of one is the same. */

import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describeTree, randomBytes, sha256OfFile, writeRandomFile } from '../support/bytes.ts'

export interface Content {
  path: string
  byteCount: number
  /** @throws AssertionError if it differs */
  assertSame(copy: string): Promise<void>
}

export async function makeFile(folder: string, byteCount: number): Promise<Content> {
  const path = join(folder, 'file')
  const sha256 = await writeRandomFile(path, 'bench', byteCount)
  return {
    path,
    byteCount,
    assertSame: async (copy) => assert.equal(await sha256OfFile(copy), sha256, `${copy} differs from the file`),
  }
}

/** `folderCount` folders with `filesEach` files of `fileBytes` bytes, no two alike. */
export async function makeFolder(
  parent: string,
  { folderCount, filesEach, fileBytes }: { folderCount: number; filesEach: number; fileBytes: number },
): Promise<Content> {
  const path = join(parent, 'tree')
  for (let i = 0; i < folderCount; i++) {
    const folder = join(path, `folder-${i}`)
    await mkdir(folder, { recursive: true })
    for (let j = 0; j < filesEach; j++) {
      await writeFile(join(folder, `file-${j}`), randomBytes(`bench ${i} ${j}`, fileBytes))
    }
  }
  const tree = await describeTree(path)
  return {
    path,
    byteCount: folderCount * filesEach * fileBytes,
    assertSame: async (copy) => assert.deepEqual(await describeTree(copy), tree, `${copy} differs from the folder`),
  }
}
