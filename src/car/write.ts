/**
 * CAR files of version 1, piece by piece. Called by `node/operations/car-export.ts`.
 * @see https://ipld.io/specs/transport/car/carv1/
 */

import { createWriter, headerLength } from '@ipld/car/buffer-writer'
import type { CID } from 'multiformats/cid'
import { varintLength, writeVarint } from '../common/protobuf.ts'

/** What the file begins with. */
export function carHeader(roots: CID[]): Uint8Array {
  return createWriter(new ArrayBuffer(headerLength({ roots })), { roots }).close()
}

/** What stands before a block of so many bytes. */
export function sectionHeader(cid: CID, blockBytes: number): Uint8Array {
  const length = cid.bytes.byteLength + blockBytes
  const header = new Uint8Array(varintLength(length) + cid.bytes.byteLength)
  header.set(cid.bytes, writeVarint(header, 0, length))
  return header
}
