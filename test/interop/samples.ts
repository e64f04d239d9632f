/** What is sent between `p2p` and other implementations, both ways: one of each shape a DAG can have. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { chmod, lutimes, mkdir, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MiB } from '../../src/common/units.ts'
import { describeTree, randomBytes, sha256OfFile, writeRandomFile } from '../support/bytes.ts'

/** So many names that every implementation has to shard the folder (HAMT). */
const SHARDED_FOLDER_SIZE = 6_000

export interface Sample {
  name: string
  path: string
}

/** Writes all samples into the folder. */
export async function writeSamples(folder: string): Promise<Sample[]> {
  const small = join(folder, 'small.txt')
  await writeFile(small, 'hello world')
  const empty = join(folder, 'empty')
  await writeFile(empty, '')
  const large = join(folder, 'large')
  await writeRandomFile(large, 'interop-large', 5 * MiB + 1)

  const tree = join(folder, 'tree')
  await mkdir(join(tree, 'a', 'b', 'empty folder'), { recursive: true })
  await mkdir(join(tree, 'Ω'))
  await writeFile(join(tree, 'a', 'empty file'), '')
  await writeFile(join(tree, 'a', 'b', 'two chunks'), randomBytes('interop-tree', MiB + 1))
  await writeFile(join(tree, 'a.txt'), 'a')
  await writeFile(join(tree, 'Ω', 'ü #?%.txt'), 'a name that is not ASCII')
  await writeFile(join(tree, 'Ω', 'same content as a.txt'), 'a')

  const sharded = join(folder, 'sharded')
  await mkdir(sharded)
  // One after the other without waiting for the thread pool: many times faster for so many tiny files.
  for (let i = 0; i < SHARDED_FOLDER_SIZE; i++) writeFileSync(join(sharded, `file-${i}`), `${i % 10}`)

  return [
    { name: 'a small file', path: small },
    { name: 'an empty file', path: empty },
    { name: 'a file of 5 MiB and a byte', path: large },
    { name: 'a folder tree with an empty folder and an empty file', path: tree },
    { name: `a sharded folder of ${SHARDED_FOLDER_SIZE} files`, path: sharded },
  ]
}

/** A file, a tree and a wide folder, small enough to be written by many switches. */
export async function writeOddities(folder: string): Promise<{ file: string; tree: string; many: string }> {
  const [file, tree, many] = [join(folder, 'file'), join(folder, 'oddities'), join(folder, 'many')]
  await writeRandomFile(file, 'oddities', 60_001)
  await mkdir(join(tree, 'sub', 'empty folder'), { recursive: true })
  await writeFile(join(tree, 'empty'), '')
  await writeFile(join(tree, 'tiny'), 'x')
  await writeFile(join(tree, 'line\nbreak\\'), 'a name as good as any other')
  await writeRandomFile(join(tree, 'sub', 'large'), 'oddities', 300_000)
  await symlink('sub/large', join(tree, 'link'))
  await chmod(join(tree, 'tiny'), 0o640)
  await chmod(join(tree, 'sub', 'large'), 0o444)
  await chmod(join(tree, 'sub'), 0o550)
  await lutimes(join(tree, 'link'), 1e9, 1e9)
  const times = {
    'line\nbreak\\': '1e9',
    empty: '-5.25',
    tiny: '1234567890.125',
    'sub/large': '1',
    'sub/empty folder': '2',
    sub: '3',
    '.': '4',
  }
  for (const [name, time] of Object.entries(times)) await utimes(join(tree, name), time, time)
  await mkdir(many)
  for (let i = 0; i < 100; i++) writeFileSync(join(many, `file-${i}`), `${i}`)
  return { file, tree, many }
}

/** Asserts that two files, or two folders with all that is in them, are the same. */
export async function assertSameContent(actual: string, expected: string): Promise<void> {
  if ((await stat(expected)).isDirectory()) assert.deepEqual(await describeTree(actual), await describeTree(expected))
  else assert.equal(await sha256OfFile(actual), await sha256OfFile(expected))
}
