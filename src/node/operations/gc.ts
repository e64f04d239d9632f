/** `gc`: what nobody needs, removed. */

import type { GcOptions, GcResult } from '../api/pins.ts'
import type { NodeParts } from '../parts.ts'

/** @throws P2PError as `Api.run` says of it */
export async function gc(
  { collector }: Pick<NodeParts, 'collector'>,
  { dryRun, signal }: GcOptions,
): Promise<GcResult> {
  const { blocks, bytes, references, corruptBytes } = await collector.collect({ dryRun, signal })
  return { blocks, bytes: bytes + corruptBytes, references }
}
