/** `gc`: what nobody needs, removed. */

import type { Collector } from '../../pin/collector.ts'
import type { ImportMemory } from '../../pin/import-memory.ts'
import type { GcOptions, GcResult } from '../api/pins.ts'

/** @throws P2PError as `Api.run` says of it */
export async function gc(
  { collector, memory }: { collector: Pick<Collector, 'collect'>; memory: Pick<ImportMemory, 'sweep'> },
  { dryRun, signal }: GcOptions,
): Promise<GcResult> {
  const { blocks, bytes, references, corruptBytes } = await collector.collect({ dryRun, signal })
  if (dryRun !== true) await memory.sweep()
  return { blocks, bytes: bytes + corruptBytes, references }
}
