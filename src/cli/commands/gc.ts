/** `p2p gc`: removes what is not kept. */

import { counted, formatBytes } from '../../common/units.ts'
import type { GcResult } from '../../node/api/pins.ts'
import { type Context, runOperation } from '../context.ts'
import type { HoldFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

export interface GcFlags extends HoldFlags {
  dryRun?: boolean
}

/** @throws P2PError as `gc` of `Api.run` does */
export async function gc(context: Context, { dryRun = false, timeout }: GcFlags): Promise<Outcome> {
  const result = await runOperation(context, { command: 'p2p gc', holdTimeoutMs: timeout, repoMustExist: true }, 'gc', {
    dryRun,
  })
  context.output.resultLine(lineOf(result, dryRun))
  return { result: { ...result, dryRun }, summary: [] }
}

function lineOf({ blocks, bytes, references }: GcResult, dryRun: boolean): string {
  const done = dryRun ? 'Would free' : 'Freed'
  const files = references > 0 ? `, and no longer serves ${counted(references, 'block')} from your files` : ''
  return `${done} ${formatBytes(bytes)} (${bytes} bytes) in ${counted(blocks, 'block')}${files}.`
}
