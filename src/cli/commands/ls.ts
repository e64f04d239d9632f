/** `p2p ls`: the entries of a folder, one a line. */

import type { LsEntry } from '../../node/api/look.ts'
import { type Context, runOperation } from '../context.ts'
import { fetchingOptions } from '../fetching.ts'
import type { FetchingFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

export interface LsFlags extends FetchingFlags {
  long?: boolean
  recursive?: boolean
}

/** @throws P2PError as `ls` of `Api.run` does */
export async function ls(context: Context, ref: string, flags: LsFlags): Promise<Outcome> {
  const { output } = context
  const { long = false, recursive = false } = flags
  const { cid, entries } = await runOperation(context, { command: 'p2p ls', holdTimeoutMs: flags.timeout }, 'ls', {
    ref,
    long,
    recursive,
    ...(await fetchingOptions(context, flags)),
    onEvent: async (entry) => {
      output.resultLine(long ? longLine(entry) : entry.path)
      output.event('entry', { ...entry })
      await output.taken()
    },
  })
  return { result: { cid, entries }, summary: [] }
}

/** Name last, since it is as long as it likes. */
function longLine({ kind, bytes, mode, mtime, cid, codec, path, target }: LsEntry): string {
  const what = kind === 'opaque' ? codec : (kind ?? '-')
  const fields = [
    what.padEnd(9),
    (bytes?.toString() ?? '-').padStart(13),
    mode?.toString(8).padStart(4, '0') ?? '   -',
    mtime ?? '-'.padEnd(24),
    cid,
    target === null ? path : `${path} -> ${target}`,
  ]
  return fields.join('  ')
}
