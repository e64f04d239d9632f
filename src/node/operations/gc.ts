/** `gc`: what nobody needs, removed. */

import type { Collector } from '../../pin/collector.ts'
import type { GcOptions, GcResult } from '../api/pins.ts'

/** @throws P2PError as `Api.run` says of it */
export async function gc(
  { collector }: { collector: Pick<Collector, 'collect'> },
  { dryRun, signal }: GcOptions,
): Promise<GcResult> {
  const { blocks, bytes, references, corruptBytes } = await collector.collect({ dryRun, signal })
  return { blocks, bytes: bytes + corruptBytes, references }
}
