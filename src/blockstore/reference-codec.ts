/** The records behind `references.ts`, as they are in the database. */

import type { BigIntStats } from 'node:fs'
import { LEAF_FORMS, type LeafForm } from '../dag/leaf-form.ts'

/** Where the content of a leaf lies in a file that is known by its id. */
export interface Reference {
  fileId: number
  /** Bytes from the start of the file. */
  offset: number
  /** Bytes of content. */
  length: number
  /** How the block is made from it. */
  form: LeafForm
}

/** A file or a folder of the user, with the files below it that blocks lie in. */
export interface TreeRecord {
  /** Absolute. */
  path: string
  /** `building`: a download writes to it, or an import reads it. `finished`: every file in it is guarded by its size and mtime. */
  state: 'building' | 'finished'
  /** The CID, as text, of what the tree holds; known once it is finished. */
  root?: string | undefined
  /** The boot of the machine in which a download built it: what it wrote without syncing is sure until the next one. */
  bootId?: string | undefined
  /** Where in the tree a download began, as a part of all leaves from 0 to 1. */
  beginning?: number | undefined
  /** Nothing is left to do but to move the tree, which is under construction, to where it will stay. */
  isWhole?: boolean | undefined
}

export interface FileRecord {
  /** Below the path of its tree, with `/` between folders; empty if the tree is this file. */
  name: string
  /** Bytes, once whole. */
  size?: number | undefined
  /** Nanoseconds since 1970 in decimal, once whole: more digits than a number holds. */
  mtimeNs?: string | undefined
}

/** Whether a file is still as it was when it was whole; false for one that never was. */
export function isUnchanged({ size, mtimeNs }: Omit<FileRecord, 'name'>, stats: BigIntStats): boolean {
  return stats.isFile() && String(stats.size) === String(size) && String(stats.mtimeNs) === mtimeNs
}

/** File ids count up within their tree, from 0; together they stay below 2^53. */
const FILES_PER_TREE = 2 ** 32
export const MAX_TREE_ID = 2 ** 21 - 1

const ENCODED_BYTES = 19

export function fileIdOf(treeId: number, index: number): number {
  return treeId * FILES_PER_TREE + index
}

export function treeIdOf(fileId: number): number {
  return Math.floor(fileId / FILES_PER_TREE)
}

export function fileIndexOf(fileId: number): number {
  return fileId % FILES_PER_TREE
}

/** Per reference: file id (8 bytes), offset (6), length (4), form (1), big-endian. */
export function encodeReferences(references: readonly Reference[]): Uint8Array {
  const bytes = Buffer.alloc(references.length * ENCODED_BYTES)
  for (const [index, { fileId, offset, length, form }] of references.entries()) {
    const start = index * ENCODED_BYTES
    writeFileId(bytes, fileId, start)
    bytes.writeUIntBE(offset, start + 8, 6)
    bytes.writeUInt32BE(length, start + 14)
    bytes.writeUInt8(LEAF_FORMS.indexOf(form), start + 18)
  }
  return bytes
}

export function decodeReferences(bytes: Uint8Array): Reference[] {
  const buffer = viewOf(bytes)
  const references: Reference[] = []
  for (let start = 0; start + ENCODED_BYTES <= buffer.byteLength; start += ENCODED_BYTES) {
    references.push({
      fileId: readFileId(buffer, start),
      offset: buffer.readUIntBE(start + 8, 6),
      length: buffer.readUInt32BE(start + 14),
      form: LEAF_FORMS[buffer.readUInt8(start + 18)] ?? 'raw',
    })
  }
  return references
}

export function encodeTreeId(treeId: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(treeId)
  return bytes
}

export function decodeTreeId(bytes: Uint8Array): number {
  return viewOf(bytes).readUInt32BE()
}

/** Starts with {@link encodeTreeId}, so that the files of a tree stand side by side. */
export function encodeFileId(fileId: number): Uint8Array {
  const bytes = Buffer.alloc(8)
  writeFileId(bytes, fileId, 0)
  return bytes
}

export function decodeFileId(bytes: Uint8Array): number {
  return readFileId(viewOf(bytes), 0)
}

export function encodeRecord(record: TreeRecord | FileRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record))
}

export function decodeTree(bytes: Uint8Array): TreeRecord {
  return JSON.parse(viewOf(bytes).toString()) as TreeRecord
}

export function decodeFile(bytes: Uint8Array): FileRecord {
  return JSON.parse(viewOf(bytes).toString()) as FileRecord
}

function writeFileId(bytes: Buffer, fileId: number, start: number): void {
  bytes.writeUInt32BE(treeIdOf(fileId), start)
  bytes.writeUInt32BE(fileIndexOf(fileId), start + 4)
}

function readFileId(bytes: Buffer, start: number): number {
  return fileIdOf(bytes.readUInt32BE(start), bytes.readUInt32BE(start + 4))
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
