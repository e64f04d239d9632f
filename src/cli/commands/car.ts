/** `p2p car`: DAGs as CAR files, out and in. */

import { resolve } from 'node:path'
import { P2PError } from '../../common/errors.ts'
import { counted, formatBytes } from '../../common/units.ts'
import { type Context, runOperation } from '../context.ts'
import { fetchingOptions } from '../fetching.ts'
import type { FetchingFlags, HoldFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'
import { refuseTerminal, stdoutWriter } from '../stdout.ts'

export interface CarExportFlags extends FetchingFlags {
  output?: string
  force?: boolean
}

export interface CarImportFlags extends HoldFlags {
  pin: boolean
}

const STDIO = '-'

/** @throws P2PError as `car-export` of `Api.run` does; `usage` for a terminal, and with `--json` without a path */
export async function carExport(context: Context, ref: string, flags: CarExportFlags): Promise<Outcome> {
  const { output: path = STDIO, force, timeout } = flags
  if (path === '') throw new P2PError('usage', '-o needs a path', { hint: '"-" is stdout.' })
  const toStdout = path === STDIO
  if (toStdout) refuseTerminal(context, 'Name a file with -o, or send stdout to one.')
  const result = await runOperation(context, { command: 'p2p car export', holdTimeoutMs: timeout }, 'car-export', {
    ref,
    ...(toStdout
      ? { write: stdoutWriter(context, 'stdout', { hasOutput: true }) }
      : { output: resolve(context.cwd, path), force }),
    ...(await fetchingOptions(context, flags)),
  })
  const { opaque, blocks, bytes } = result
  return {
    result: { ...result },
    summary: [`Exported ${counted(blocks, 'block')}, ${formatBytes(bytes)}.`],
    failure:
      opaque === null
        ? undefined
        : new P2PError('partial', `What block ${opaque} links to is left out: its codec is not read`, {
            hint: 'All else is in the file.',
          }),
  }
}

/** @throws P2PError as `car-import` of `Api.run` does */
export async function carImport(context: Context, path: string, flags: CarImportFlags): Promise<Outcome> {
  const { output, stdin, cwd } = context
  if (path === '') throw new P2PError('usage', 'An empty path names nothing', { hint: '"-" is stdin.' })
  const result = await runOperation(
    context,
    { command: 'p2p car import', holdTimeoutMs: flags.timeout },
    'car-import',
    {
      pin: flags.pin,
      ...(path === STDIO ? { content: stdin } : { path: resolve(cwd, path) }),
      onEvent: (root) => {
        output.resultLine(root.cid)
        output.event('root', { ...root })
      },
    },
  )
  const { roots, blocks, blockBytes } = result
  const failed = roots.filter(({ problem }) => problem !== null)
  return {
    result: { ...result },
    summary: [
      `Imported ${counted(blocks, 'block')}, ${formatBytes(blockBytes)}.`,
      ...(roots.length === 0 ? ['The file names no roots: nothing is pinned.'] : []),
    ],
    problems: failed.map(({ cid, problem }) => `${cid} is not pinned: ${problem}`),
    failure:
      failed.length === 0
        ? undefined
        : new P2PError('partial', `${failed.length} of ${roots.length} roots could not be pinned`, {
            hint: 'The blocks of the file are stored. "p2p pin add <cid>" fetches what a root lacks, and pins it.',
          }),
  }
}
