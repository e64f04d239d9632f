/** What a power cut may leave of a disk: each file and folder loses some, all or nothing of what was not synced. */

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { KiB } from '../../../src/common/units.ts'
import {
  type ContentChange,
  contentAfter,
  type DiskNode,
  entriesAfter,
  type FileNode,
  type FolderNode,
} from './disk.ts'

/**
 * How files lose what was written: `lost`: all of it; `kept`: nothing; `torn`: what comes after some byte; `zeroed`: the
 * length is as it was to be, the bytes are zeros; `mixed`: some pages of it.
 */
export const CONTENT_LOSSES = ['lost', 'kept', 'torn', 'zeroed', 'mixed'] as const
/** How folders lose names that came, changed or went. */
export const ENTRY_LOSSES = ['lost', 'kept', 'mixed'] as const

export interface Loss {
  content: (typeof CONTENT_LOSSES)[number]
  entries: (typeof ENTRY_LOSSES)[number]
  /** What happens where there is a choice: the same number below 2^48 for the same name. */
  chance: (name: string) => number
}

export type StateNode =
  | { kind: 'file'; content: Buffer; mtimeNs: bigint }
  | { kind: 'folder'; entries: [name: string, node: StateNode][] }
  | { kind: 'link'; target: string }

const PAGE_BYTES = 4 * KiB

/** What is left of the disk. */
export function stateAfter(root: FolderNode, loss: Loss): StateNode {
  return remains(root, loss, '')
}

function remains(node: DiskNode, loss: Loss, path: string): StateNode {
  if (node.kind === 'link') return node
  if (node.kind === 'file') return { kind: 'file', ...remainingContent(node, loss, path) }
  const entries = [...remainingEntries(node, loss, path)].map(([name, child]): [string, StateNode] => {
    return [name, remains(child, loss, `${path}/${name}`)]
  })
  return { kind: 'folder', entries }
}

function remainingEntries({ synced, unsynced }: FolderNode, { entries, chance }: Loss, path: string) {
  if (entries === 'lost') return synced
  if (entries === 'kept') return entriesAfter(synced, unsynced)
  // LevelDB counts on the changes of one folder reaching the disk in their order, as ext4, XFS and Btrfs see to.
  if (path.endsWith('/database')) {
    return entriesAfter(synced, unsynced.slice(0, chance(path) % (unsynced.length + 1)))
  }
  return entriesAfter(
    synced,
    unsynced.filter((_, index) => chance(`${path} ${index}`) % 2 === 0),
  )
}

function remainingContent(file: FileNode, { content, chance }: Loss, path: string) {
  const { unsynced, synced } = file
  if (unsynced.length === 0 || content === 'lost') return synced
  if (content === 'kept') return contentAfter(file, unsynced)
  if (content === 'torn') {
    const whole = chance(path) % unsynced.length
    return contentAfter(file, [...unsynced.slice(0, whole), torn(unsynced[whole]!, chance(`${path} cut`))])
  }
  if (content === 'zeroed') return contentAfter(file, unsynced.map(zeroed))
  return contentAfter(
    file,
    unsynced.flatMap((change, index) => pagesOf(change).filter((_, page) => chance(`${path} ${index} ${page}`) % 2)),
  )
}

function torn(change: ContentChange, chance: number): ContentChange {
  if (change.data === undefined || change.data.length === 0) return change
  return { ...change, data: change.data.subarray(0, chance % change.data.length) }
}

function zeroed(change: ContentChange): ContentChange {
  return { ...change, data: change.data && Buffer.alloc(change.data.length) }
}

function pagesOf(change: ContentChange): ContentChange[] {
  const { data, offset, mtimeNs } = change
  if (data === undefined || data.length === 0) return [change]
  const pages: ContentChange[] = []
  for (let start = 0; start < data.length; ) {
    const end = Math.min(data.length, start + PAGE_BYTES - ((offset + start) % PAGE_BYTES))
    pages.push({ offset: offset + start, data: data.subarray(start, end), mtimeNs })
    start = end
  }
  return pages
}

/** Tells states from each other. */
export function fingerprint(state: StateNode): string {
  const hash = createHash('sha1')
  const visit = (node: StateNode, path: string) => {
    hash.update(`${node.kind} ${path}\0`)
    if (node.kind === 'file') hash.update(`${node.mtimeNs} ${digestOf(node.content)}\0`)
    else if (node.kind === 'link') hash.update(`${node.target}\0`)
    else for (const [name, child] of node.entries) visit(child, `${path}/${name}`)
  }
  visit(state, '')
  return hash.digest('hex')
}

const digests = new WeakMap<Buffer, string>()

function digestOf(content: Buffer): string {
  const known = digests.get(content)
  if (known !== undefined) return known
  const digest = createHash('sha1').update(content).digest('hex')
  digests.set(content, digest)
  return digest
}

/** Puts the state on the real disk, where nothing is yet. */
export async function materialise(state: StateNode, folder: string): Promise<void> {
  const times: { path: string; mtimeNs: bigint }[] = []
  const make = async (node: StateNode, path: string): Promise<void> => {
    if (node.kind === 'link') await symlink(node.target, path)
    else if (node.kind === 'file') {
      await writeFile(path, node.content, { mode: 0o600 })
      times.push({ path, mtimeNs: node.mtimeNs })
    } else {
      await mkdir(path, { mode: 0o700 })
      for (const [name, child] of node.entries) await make(child, join(path, name))
    }
  }
  await make(state, folder)
  await setTimes(times.filter(({ path }) => !path.startsWith(join(folder, 'repo'))))
}

/** To the nanosecond, which the file system of Node cannot. */
async function setTimes(times: { path: string; mtimeNs: bigint }[]): Promise<void> {
  if (times.length === 0) return
  const script = 'while [ $# -gt 0 ]; do touch -d "@$1" "$2"; shift 2; done'
  const seconds = (mtimeNs: bigint) =>
    `${mtimeNs / 1_000_000_000n}.${String(mtimeNs % 1_000_000_000n).padStart(9, '0')}`
  const pairs = times.flatMap(({ path, mtimeNs }) => [seconds(mtimeNs), path])
  await promisify(execFile)('sh', ['-c', script, 'sh', ...pairs])
}
