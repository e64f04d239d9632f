/** `cat`: a file, or a part of it, in order. The walk is that of `get` to a stream. */

import type { CatOptions, CatResult } from '../api/look.ts'
import { type GetParts, getRef } from './get.ts'

/** @throws P2PError as `Api.run` says of it */
export async function cat(parts: GetParts, { ref, write, offset, length, ...options }: CatOptions): Promise<CatResult> {
  const target = { kind: 'stream', write, offset, length } as const
  const { cid, stats } = await getRef(parts, ref, { ...options, target })
  return { cid, bytes: stats.bytes }
}
