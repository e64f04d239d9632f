/** `p2p dag`: what DAGs are made of. */

import { P2PError } from '../../common/errors.ts'
import { counted, formatBytes } from '../../common/units.ts'
import { type Context, runOperation } from '../context.ts'
import { fetchingOptions } from '../fetching.ts'
import type { FetchingFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

/** @throws P2PError as `dag-stat` of `Api.run` does */
export async function dagStat(context: Context, refs: string[], flags: FetchingFlags): Promise<Outcome> {
  const { output } = context
  const result = await runOperation(context, { command: 'p2p dag stat', holdTimeoutMs: flags.timeout }, 'dag-stat', {
    refs,
    ...(await fetchingOptions(context, flags)),
    onEvent: (dag) => {
      output.resultLine(`${dag.cid}  ${figures(dag)}`)
      output.event('dag', { ...dag })
    },
  })
  if (refs.length > 1) output.resultLine(`all of them, each block counted once  ${figures(result)}`)
  const opaque = result.dags.flatMap((dag) => dag.opaque ?? [])
  return {
    result: { ...result },
    summary: [],
    failure:
      opaque.length === 0
        ? undefined
        : new P2PError('partial', `What block ${opaque[0]} links to is not counted: its codec is not read`),
  }
}

function figures({ blocks, blockBytes }: { blocks: number; blockBytes: number }): string {
  return `${counted(blocks, 'block')}, ${blockBytes} bytes (${formatBytes(blockBytes)})`
}
