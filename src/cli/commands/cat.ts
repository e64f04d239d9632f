/** `p2p cat`: the bytes of a file on stdout. */

import type { OnProgress } from '../../common/progress.ts'
import { type Context, withNode } from '../context.ts'
import { fetchingOptions } from '../fetching.ts'
import type { FetchingFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'
import { stdoutWriter } from '../stdout.ts'

export interface CatFlags extends FetchingFlags {
  offset?: number
  length?: number
}

/** @throws P2PError as `cat` of `Api.run` does; `usage` with `--json` */
export async function cat(context: Context, ref: string, flags: CatFlags): Promise<Outcome> {
  const { output, signal, stdout } = context
  const { offset, length } = flags
  const write = stdoutWriter(context, 'cat')
  // On a terminal the lines of progress would stand among those of the file.
  const onProgress: OnProgress = (event) => {
    if (stdout.isTTY !== true || event.type === 'note' || event.type === 'warning') output.onProgress(event)
  }
  const options = { ref, offset, length, write, ...(await fetchingOptions(context, flags)), signal, onProgress }
  const result = await withNode(context, { command: 'p2p cat', holdTimeoutMs: flags.timeout }, (node) =>
    node.run('cat', options),
  )
  return { result: { ...result }, summary: [] }
}
