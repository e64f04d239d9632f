/** Files and folders at random, with all that a tree can have and a CID depends on. */

import { chmod, lutimes, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Dice } from './dice.ts'

export interface TreeShape {
  /** Files are around multiples of it. */
  chunkBytes: number
  /** Of a file. */
  maxBytes: number
}

const ALPHABET = [...'abcdefghijklmnopqrstuvwxyzABC0123456789-_ .~\\\'"#!*?[]{}äöéß中文字😀\uffee\u{1f600}\ufeff']
/** Together they pass the size of a folder that is still one block. */
const LONG_NAMES = { count: [880, 1000], length: [235, 255] } as const

/** Writes a file, folder or link at the path. */
export async function writeRandomTree(path: string, dice: Dice, shape: TreeShape): Promise<void> {
  if (dice.once(5)) await writeRandomFile(path, dice, shape)
  else await writeFolder(path, dice, shape, 0)
}

async function writeFolder(path: string, dice: Dice, shape: TreeShape, depth: number): Promise<void> {
  await mkdir(path)
  if (dice.once(15)) await writeManyFiles(path, dice)
  else {
    const count = dice.once(8) ? 0 : dice.number(1, 12)
    for (let index = 0; index < count; index++) await writeEntry(path, dice, shape, depth)
  }
  await setMetadata(path, dice, [0o755, 0o700, 0o1777, 0o2750])
}

async function writeEntry(folder: string, dice: Dice, shape: TreeShape, depth: number): Promise<void> {
  const path = join(folder, randomName(dice, dice.number(1, 20)))
  try {
    if (dice.once(4) && depth < 3) await writeFolder(path, dice, shape, depth + 1)
    else if (dice.once(8)) await writeLink(path, dice)
    else await writeRandomFile(path, dice, shape)
  } catch (error) {
    // Two names may be the same by chance.
    if (!['EEXIST', 'EISDIR', 'ELOOP', 'ENOENT'].includes((error as { code?: string }).code ?? '')) throw error
  }
}

async function writeRandomFile(path: string, dice: Dice, { chunkBytes, maxBytes }: TreeShape): Promise<void> {
  const chunks = dice.once(3) ? dice.number(0, 300) : dice.number(0, 4)
  const about = Math.min(chunks * chunkBytes, maxBytes)
  const byteCount = dice.once(3) ? dice.number(0, 200) : Math.max(0, about + dice.number(-1, 1))
  const content = dice.once(6) ? Buffer.alloc(byteCount) : dice.content(byteCount)
  await writeFile(path, content, { flag: 'wx' })
  await setMetadata(path, dice, [0o644, 0o640, 0o755, 0o600, 0o4755, 0o6711])
}

/** Enough to be sharded, by number or by size. */
async function writeManyFiles(folder: string, dice: Dice): Promise<void> {
  const isLong = dice.once(2)
  const count = isLong ? dice.number(...LONG_NAMES.count) : dice.number(30, 150)
  for (let index = 0; index < count; index++) {
    const name = isLong ? longName(dice, index) : `${randomName(dice, 4)}${index}`
    await writeFile(join(folder, name), dice.once(4) ? String(index) : 'x')
  }
}

function longName(dice: Dice, index: number): string {
  return `${index}-`.padEnd(dice.number(...LONG_NAMES.length), 'n')
}

async function writeLink(path: string, dice: Dice): Promise<void> {
  await symlink(dice.pick(['.', '../nowhere', 'a/b/c', '/absolute', 'ä😀', 'x'.repeat(300)]), path)
  await lutimes(path, randomTime(dice), randomTime(dice))
}

async function setMetadata(path: string, dice: Dice, modes: readonly number[]): Promise<void> {
  if (!dice.once(3)) await chmod(path, dice.pick(modes))
  if (!dice.once(3)) await lutimes(path, randomTime(dice), randomTime(dice))
}

function randomTime(dice: Dice): number {
  return dice.pick([1_604_320_482, 1_603_539_720.000_5, 1, -1, -100.25, 2_500_000_000.75])
}

function randomName(dice: Dice, length: number): string {
  const name = Array.from({ length }, () => dice.pick(ALPHABET)).join('')
  return ['.', '..'].includes(name) ? 'dots' : name
}
