/** `p2p get`: a reference -> a file, a folder, or bytes on stdout. */

import { resolve } from 'node:path'
import { P2PError } from '../../common/errors.ts'
import { parsePeerAddress, parseRef } from '../../dag/ref.ts'
import type { GetTarget } from '../../node/api.ts'
import { type Context, type NodeNeeds, withNode } from '../context.ts'
import type { LimitFlags } from '../flags.ts'
import { getSummary } from '../get-summary.ts'
import type { Outcome } from '../outcome.ts'
import { stdoutWriter } from '../stdout.ts'

export interface GetFlags extends LimitFlags {
  output?: string
  peer?: string[]
  timeout?: number
  force?: boolean
  pin?: boolean
  copy?: boolean
  seed: boolean
}

/** Free ports: other downloads of the same find them through their seeder. */
const LISTEN_EVERYWHERE = ['/ip4/0.0.0.0/tcp/0']
/** Where nobody else is dialled, nobody else has to come in. */
const LISTEN_ON_THIS_MACHINE = ['/ip4/127.0.0.1/tcp/0']

/** @throws P2PError as `Api.get` does; `usage` for flags that exclude each other */
export async function get(context: Context, ref: string, flags: GetFlags): Promise<Outcome> {
  const { output, signal } = context
  const target = targetOf(context, flags.output)
  const { providers } = parseRef(ref)
  const peers = flags.peer?.map(parsePeerAddress)
  // Opening the repo may take a while; from here on something is shown.
  output.onProgress({
    type: 'progress',
    phase: 'connecting',
    bytes: 0,
    totalBytes: null,
    bytesPerSecond: 0,
    etaSeconds: null,
    duplicateBytes: 0,
    heldBackBy: null,
    peers: [],
  })

  const { pathOf } = await import('../../net/addresses.ts')
  const needs: NodeNeeds = {
    command: 'p2p get',
    holdTimeoutMs: flags.timeout,
    seed: flags.seed,
    limits: flags,
    listen: (bootstrap) => {
      if (!flags.seed || context.flags.offline) return []
      const isLocal = [...(peers ?? []), ...providers, ...(bootstrap ?? ['public'])].every(
        (address) => pathOf(address) === 'loopback',
      )
      return isLocal ? LISTEN_ON_THIS_MACHINE : LISTEN_EVERYWHERE
    },
  }
  const result = await withNode(context, needs, (node) =>
    node.get(ref, {
      target,
      peers,
      timeoutMs: flags.timeout,
      force: flags.force,
      pin: flags.pin,
      copy: flags.copy,
      seed: flags.seed,
      offline: context.flags.offline,
      signal,
      onProgress: output.onProgress,
    }),
  )

  const { cid, path, skipped, skippedCount, stats } = result
  const unnamed = skippedCount - skipped.length
  return {
    result: { cid, path, skipped, skippedCount, stats },
    summary: getSummary(result),
    problems: [
      ...skipped.map(({ name, reason }) => `"${name}" is left out: ${reason}`),
      ...(unnamed > 0 ? [`and ${unnamed} more`] : []),
    ],
    failure:
      skippedCount === 0
        ? undefined
        : new P2PError('partial', `${skippedCount} of its entries could not be made`, {
            hint: 'All else is in place and verified.',
          }),
  }
}

function targetOf(context: Context, output: string | undefined): GetTarget {
  const { cwd } = context
  if (output === undefined) return { kind: 'inside', folder: cwd }
  if (output === '') throw new P2PError('usage', '-o needs a path', { hint: 'Leave it out to save in this folder.' })
  if (output === '-') return { kind: 'stream', write: stdoutWriter(context, '-o -', { hasOutput: true }) }
  // `-o .` is meant as a place, not as the name of the result.
  if (/(^|\/)\.{0,2}$/.test(output)) return { kind: 'inside', folder: resolve(cwd, output) }
  return { kind: 'path', path: resolve(cwd, output) }
}
