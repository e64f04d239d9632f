/** CAR files for tests, made of their parts. */

import { sectionHeader } from '../../src/car/write.ts'
import type { Block } from '../../src/dag/block.ts'

export function carSection({ cid, bytes }: Block): Buffer {
  return Buffer.concat([sectionHeader(cid, bytes.byteLength), bytes])
}

const PRAGMA = Buffer.from('0aa16776657273696f6e02', 'hex')

/** Version 2 around a file of version 1. @see https://ipld.io/specs/transport/car/carv2/ */
export function carV2(
  payload: Uint8Array,
  { padding = 0, offset, size, index = 0 }: Partial<Record<'padding' | 'offset' | 'size' | 'index', number>> = {},
): Buffer {
  const header = Buffer.alloc(40)
  header.writeBigUInt64LE(BigInt(offset ?? 51 + padding), 16)
  header.writeBigUInt64LE(BigInt(size ?? payload.byteLength), 24)
  return Buffer.concat([PRAGMA, header, Buffer.alloc(padding), payload, Buffer.alloc(index, 0xff)])
}
