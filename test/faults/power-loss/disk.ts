/**
 * A model of a disk under recorded system calls: for each file and folder what is synced, and what has changed since,
 * which a power cut may undo. A sync of a file says nothing of the folder that names it (POSIX promises no more).
 */

import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { SystemCall } from '../calls/intercept.ts'

/** A write, or with no data a change of the length. */
export interface ContentChange {
  offset: number
  data: Buffer | undefined
  mtimeNs: bigint
}

export interface FileNode {
  kind: 'file'
  synced: { content: Buffer; mtimeNs: bigint }
  /** In their order. */
  unsynced: ContentChange[]
}

/** Names that come, change or go in one step; undefined: it goes. */
export type EntryChange = ReadonlyMap<string, DiskNode | undefined>

export interface FolderNode {
  kind: 'folder'
  synced: ReadonlyMap<string, DiskNode>
  /** In their order. */
  unsynced: EntryChange[]
}

interface LinkNode {
  kind: 'link'
  target: string
}

export type DiskNode = FileNode | FolderNode | LinkNode

export class Disk {
  readonly root: FolderNode
  readonly #rootPath: string
  /** What a call means that names only a descriptor. */
  readonly #byInode = new Map<string, FileNode | FolderNode>()
  #output = ''

  constructor(rootPath: string, root: FolderNode) {
    this.#rootPath = rootPath
    this.root = root
  }

  /** A disk that holds what is in the folder, all of it synced. */
  static async load(folder: string): Promise<Disk> {
    return new Disk(folder, await loadFolder(folder))
  }

  /** The same disk, before anything is done to it. */
  copy(): Disk {
    return new Disk(this.#rootPath, copyOf(this.root))
  }

  /** What has gone to stdout so far. */
  get output(): string {
    return this.#output
  }

  apply(call: SystemCall): void {
    if (call.result < 0) return
    const { name, path, second, inode, mtimeNs, offset, data } = call
    if (name === 'stdout') this.#output += data.toString()
    else if (name === 'create') this.#create(call)
    else if (name === 'open') this.#remember(inode, this.#nodeAt(path))
    else if (name === 'write') this.#fileOf(inode).unsynced.push({ offset, data, mtimeNs })
    else if (name === 'ftruncate') this.#fileOf(inode).unsynced.push({ offset, data: undefined, mtimeNs })
    else if (name === 'utimes') this.#fileOf(inode).unsynced.push({ offset: 0, data: Buffer.alloc(0), mtimeNs })
    else if (name === 'fsync') this.#sync(inode)
    else if (name === 'fdatasync') this.#syncData(inode)
    else if (name === 'mkdir') this.#change(path, { kind: 'folder', synced: new Map(), unsynced: [] })
    else if (name === 'symlink') this.#change(path, { kind: 'link', target: second })
    else if (name === 'unlink') this.#change(path, undefined)
    else if (name === 'link') this.#change(second, this.#nodeAt(path))
    else if (name === 'rename') this.#rename(path, second)
  }

  #create({ path, inode, mtimeNs, offset: isCut }: SystemCall): void {
    const there = this.#nodeAt(path)
    if (there === undefined) {
      const file: FileNode = { kind: 'file', synced: { content: Buffer.alloc(0), mtimeNs }, unsynced: [] }
      this.#change(path, file)
      this.#remember(inode, file)
      return
    }
    this.#remember(inode, there)
    if (isCut === 1) this.#fileOf(inode).unsynced.push({ offset: 0, data: undefined, mtimeNs })
  }

  /** Within one folder a rename is one step; between two, each of them may be written out without the other. */
  #rename(from: string, to: string): void {
    const node = this.#nodeAt(from)
    if (dirname(from) === dirname(to)) {
      this.#folderOf(from).unsynced.push(
        new Map([
          [basename(from), undefined],
          [basename(to), node],
        ]),
      )
      return
    }
    this.#change(to, node)
    this.#change(from, undefined)
  }

  #change(path: string, node: DiskNode | undefined): void {
    this.#folderOf(path).unsynced.push(new Map([[basename(path), node]]))
  }

  #sync(inode: string): void {
    const node = this.#byInode.get(inode)
    if (node?.kind === 'folder') {
      node.synced = entriesNow(node)
      node.unsynced = []
    } else this.#syncFile(inode, true)
  }

  #syncData(inode: string): void {
    this.#syncFile(inode, false)
  }

  #syncFile(inode: string, withTimes: boolean): void {
    const file = this.#fileOf(inode)
    const { content, mtimeNs } = contentAfter(file, file.unsynced)
    const kept = withTimes ? mtimeNs : file.synced.mtimeNs
    file.synced = { content, mtimeNs: kept }
    // What is left to lose is the time.
    file.unsynced = kept === mtimeNs ? [] : [{ offset: 0, data: Buffer.alloc(0), mtimeNs }]
  }

  #remember(inode: string, node: DiskNode | undefined): void {
    if (node !== undefined && node.kind !== 'link') this.#byInode.set(inode, node)
  }

  #fileOf(inode: string): FileNode {
    const node = this.#byInode.get(inode)
    if (node?.kind !== 'file') throw new Error(`The record does not say what file the inode ${inode} is`)
    return node
  }

  #folderOf(path: string): FolderNode {
    const folder = this.#nodeAt(dirname(path))
    if (folder?.kind !== 'folder') throw new Error(`The record does not say how ${dirname(path)} came about`)
    return folder
  }

  #nodeAt(path: string): DiskNode | undefined {
    let node: DiskNode | undefined = this.root
    if (path === this.#rootPath) return node
    for (const name of path.slice(this.#rootPath.length + 1).split('/')) {
      if (node?.kind !== 'folder') return undefined
      node = lookUp(node, name)
    }
    return node
  }
}

async function loadFolder(path: string): Promise<FolderNode> {
  const entries = new Map<string, DiskNode>()
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const entryPath = join(path, entry.name)
    if (entry.isDirectory()) entries.set(entry.name, await loadFolder(entryPath))
    else if (entry.isSymbolicLink()) entries.set(entry.name, { kind: 'link', target: await readlink(entryPath) })
    else {
      const { mtimeNs } = await stat(entryPath, { bigint: true })
      const synced = { content: await readFile(entryPath), mtimeNs }
      entries.set(entry.name, { kind: 'file', synced, unsynced: [] })
    }
  }
  return { kind: 'folder', synced: entries, unsynced: [] }
}

function copyOf<T extends DiskNode>(node: T): T {
  if (node.kind === 'file') return { ...node, unsynced: [...node.unsynced] }
  if (node.kind === 'link') return node
  const synced = new Map([...node.synced].map(([name, child]) => [name, copyOf(child)]))
  return { ...node, synced, unsynced: [...node.unsynced] }
}

/** The entries after all changes. */
export function entriesNow({ synced, unsynced }: FolderNode): Map<string, DiskNode> {
  return entriesAfter(synced, unsynced)
}

export function entriesAfter(
  synced: ReadonlyMap<string, DiskNode>,
  changes: readonly EntryChange[],
): Map<string, DiskNode> {
  const entries = new Map(synced)
  for (const change of changes) {
    for (const [name, node] of change) {
      if (node === undefined) entries.delete(name)
      else entries.set(name, node)
    }
  }
  return entries
}

function lookUp({ synced, unsynced }: FolderNode, name: string): DiskNode | undefined {
  const change = unsynced.findLast((entries) => entries.has(name))
  return change === undefined ? synced.get(name) : change.get(name)
}

/** The content after these changes to what is synced. */
export function contentAfter(
  { synced }: FileNode,
  changes: readonly ContentChange[],
): { content: Buffer; mtimeNs: bigint } {
  let { content, mtimeNs } = synced
  if (changes.length > 0) content = Buffer.from(content)
  for (const change of changes) {
    mtimeNs = change.mtimeNs
    const end = change.data === undefined ? change.offset : change.offset + change.data.length
    if (change.data === undefined) content = resized(content, end)
    else {
      if (end > content.length) content = resized(content, end)
      change.data.copy(content, change.offset)
    }
  }
  return { content, mtimeNs }
}

function resized(content: Buffer, length: number): Buffer {
  if (length <= content.length) return content.subarray(0, length)
  return Buffer.concat([content], length)
}
