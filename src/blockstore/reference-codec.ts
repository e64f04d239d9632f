/** The two records behind `references.ts`, as they are in the database. */

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

export interface ReferencedFile {
  id: number
  /** Absolute. */
  path: string
  /** `building`: a download writes to it, only the hash tells what it holds. `finished`: guarded by size and mtime. */
  state: 'building' | 'finished'
  /** The CID, as text, of the root that the file was fetched for or belongs to. */
  root: string
  /** The boot of the machine in which the references to a file under construction were last known to be true. */
  bootId?: string | undefined
  /** Bytes, once finished. */
  size?: number | undefined
  /** Nanoseconds since 1970 in decimal, once finished: more digits than a number holds. */
  mtimeNs?: string | undefined
}

export type FileRecord = Omit<ReferencedFile, 'id'>

const ENCODED_BYTES = 15

/** File id (4 bytes), offset (6), length (4), form (1), big-endian. */
export function encodeReference({ fileId, offset, length, form }: Reference): Uint8Array {
  const bytes = Buffer.alloc(ENCODED_BYTES)
  bytes.writeUInt32BE(fileId, 0)
  bytes.writeUIntBE(offset, 4, 6)
  bytes.writeUInt32BE(length, 10)
  bytes.writeUInt8(LEAF_FORMS.indexOf(form), 14)
  return bytes
}

export function decodeReference(bytes: Uint8Array): Reference {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return {
    fileId: buffer.readUInt32BE(0),
    offset: buffer.readUIntBE(4, 6),
    length: buffer.readUInt32BE(10),
    form: LEAF_FORMS[buffer.readUInt8(14)] ?? 'raw',
  }
}

export function encodeId(id: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(id)
  return bytes
}

export function decodeId(bytes: Uint8Array): number {
  return Buffer.from(bytes).readUInt32BE()
}

export function encodeFile(record: FileRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record))
}

export function decodeFile(bytes: Uint8Array): FileRecord {
  return JSON.parse(Buffer.from(bytes).toString()) as FileRecord
}
