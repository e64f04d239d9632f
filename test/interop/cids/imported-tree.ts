/**
 * What an import of a tree with given switches has in it, and what each reader can make of that on this disk: the two
 * things that a tree which was read back is compared with.
 */

import type { BigIntStats } from 'node:fs'
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join, posix } from 'node:path'
import type { AddOptions } from '../../../src/node/api.ts'
import { sha256 } from '../../support/bytes.ts'

interface Entry {
  /** What it is, and the digest of its content or the target of the link. */
  what: string
  /** Where a link leads. */
  target?: string
  /** Undefined where the import keeps none. */
  mode?: number | undefined
  /** Nanoseconds since 1970; undefined where the import keeps none. */
  mtimeNs?: bigint | undefined
}

/** By path from the root down; that of the root itself is empty. */
export type Tree = Map<string, Entry>

/** A program that writes a tree to disk. */
export interface Reader {
  name: string
  /** What it leaves out, and says so. */
  leavesOut(path: string, entry: Entry): boolean
  mode(mode: number, entry: Entry): number
  mtimeNs(mtimeNs: bigint): bigint
}

const SECOND_NS = 1_000_000_000n
const MICROSECOND_NS = 1000n

/** Links that lead out of the result are left out; no file gets setuid, setgid or sticky; times are to the microsecond. */
export const p2pReader: Reader = {
  name: 'p2p',
  leavesOut: (path, { target }) => target !== undefined && leadsOut(path, target),
  // The owner has to be able to read it, and to enter a folder: it is served from there.
  mode: (mode, { what }) => (mode & 0o777) | (what === 'folder' ? 0o500 : 0o400),
  mtimeNs: (mtimeNs) => floorDivide(mtimeNs, MICROSECOND_NS) * MICROSECOND_NS,
}

/** `ipfs get` makes every link, and puts all of mode and time on what it made. */
export const kuboReader: Reader = {
  name: 'Kubo',
  leavesOut: () => false,
  mode: (mode) => mode,
  mtimeNs: (mtimeNs) => mtimeNs,
}

/** What the reader has to make of an import, one line an entry; and what it has to leave out. */
export function expectedFrom(imported: Tree, reader: Reader): { lines: string[]; leftOut: string[] } {
  const lines: string[] = []
  const leftOut: string[] = []
  for (const [name, entry] of imported) {
    if (reader.leavesOut(name, entry)) leftOut.push(name)
    else lines.push(lineOf(name, withMetadataOf(reader, entry)))
  }
  return { lines, leftOut: leftOut.toSorted() }
}

/** What stands on disk, as {@link expectedFrom} tells it: of mode and time only what the import keeps. */
export async function found(path: string, imported: Tree): Promise<string[]> {
  const tree: Tree = new Map()
  await read(tree, path, '', () => true)
  return Array.from(tree, ([name, entry]) => {
    const { mode, mtimeNs } = imported.get(name) ?? {}
    return lineOf(name, {
      what: entry.what,
      mode: mode === undefined ? undefined : entry.mode,
      mtimeNs: mtimeNs === undefined ? undefined : entry.mtimeNs,
    })
  })
}

/** What is imported of a path. */
export async function importedTree(path: string, options: AddOptions): Promise<Tree> {
  const { hidden = false, emptyFolders = true, wrap = false } = options
  const tree: Tree = new Map()
  const top = wrap ? posix.basename(path) : ''
  const takes = (name: string, entries: number | undefined) => {
    if (name === top && !wrap) return true
    if (name !== top && !hidden && posix.basename(name).startsWith('.')) return false
    return entries !== 0 || emptyFolders
  }
  await read(tree, path, top, takes, hidden)
  const { preserveMode = false, preserveMtime = false, mode, mtime } = options
  const givenNs = mtime === undefined ? undefined : BigInt(mtime) * SECOND_NS
  for (const entry of tree.values()) {
    const isLink = entry.target !== undefined
    entry.mode = isLink ? undefined : (mode ?? (preserveMode ? entry.mode : undefined))
    entry.mtimeNs = givenNs ?? (preserveMtime ? entry.mtimeNs : undefined)
  }
  // The folder around it stands on no disk.
  if (wrap) tree.set('', { what: 'folder', mode, mtimeNs: givenNs })
  return tree
}

/** @param takes - whether an entry is one of the tree; `entries` is the number of those in a folder */
async function read(
  tree: Tree,
  path: string,
  name: string,
  takes: (name: string, entries: number | undefined) => boolean,
  hidden = true,
): Promise<void> {
  const stats = await lstat(path, { bigint: true })
  const names = stats.isDirectory() ? (await readdir(path)).filter((one) => hidden || !one.startsWith('.')) : undefined
  if (!takes(name, names?.length)) return
  tree.set(name, await entryAt(path, stats))
  for (const one of names ?? []) await read(tree, join(path, one), posix.join(name, one), takes, hidden)
}

async function entryAt(path: string, stats: BigIntStats): Promise<Entry> {
  const { mtimeNs } = stats
  if (stats.isSymbolicLink()) {
    const target = await readlink(path)
    return { what: `link to ${target}`, target, mtimeNs }
  }
  const mode = Number(stats.mode) & 0o7777
  if (stats.isDirectory()) return { what: 'folder', mode, mtimeNs }
  return { what: `file ${sha256(await readFile(path))}`, mode, mtimeNs }
}

function withMetadataOf(reader: Reader, entry: Entry): Entry {
  const { what, mode, mtimeNs } = entry
  return {
    what,
    mode: mode === undefined ? undefined : reader.mode(mode, entry),
    mtimeNs: mtimeNs === undefined ? undefined : reader.mtimeNs(mtimeNs),
  }
}

function lineOf(name: string, { what, mode, mtimeNs }: Entry): string {
  const said = [mode !== undefined && `mode ${mode.toString(8)}`, mtimeNs !== undefined && `time ${mtimeNs}`]
  return [JSON.stringify(name), what, ...said.filter((text) => text !== false)].join(', ')
}

function leadsOut(path: string, target: string): boolean {
  if (posix.isAbsolute(target)) return true
  const leadsTo = posix.normalize(posix.join(posix.dirname(path), target))
  return leadsTo === '..' || leadsTo.startsWith('../')
}

function floorDivide(value: bigint, divisor: bigint): bigint {
  const rest = ((value % divisor) + divisor) % divisor
  return (value - rest) / divisor
}
