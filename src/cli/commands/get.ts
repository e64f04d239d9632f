/** `p2p get`: a reference -> a file, a folder, or bytes on stdout. */

import { basename, resolve } from 'node:path'
import { errnoOf, localIoError, P2PError } from '../../common/errors.ts'
import { formatBytes, formatDuration, SECOND_MS, shortPeerId } from '../../common/units.ts'
import { parsePeerAddress, parseRef } from '../../dag/ref.ts'
import type { GetResult, GetTarget } from '../../node/api.ts'
import { type Context, withNode } from '../context.ts'
import type { Outcome } from '../outcome.ts'

export interface GetFlags {
  output?: string
  peer?: string[]
  timeout?: number
  force?: boolean
  pin?: boolean
}

/** Beyond these the summary gives a number only. */
const MAX_PEERS_SHOWN = 10

/** @throws P2PError as `Api.get` does; `usage` for flags that exclude each other */
export async function get(context: Context, ref: string, flags: GetFlags): Promise<Outcome> {
  const { output, signal } = context
  const target = targetOf(context, flags.output)
  if (target.kind === 'stream' && context.flags.json) {
    throw new P2PError('usage', '--json cannot be combined with -o -', {
      hint: 'stdout is either bytes or events: give a path to -o.',
    })
  }
  parseRef(ref)
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
    peers: [],
  })

  const result = await withNode(context, { command: 'p2p get', holdTimeoutMs: flags.timeout }, (node) =>
    node.get(ref, {
      target,
      peers,
      timeoutMs: flags.timeout,
      force: flags.force,
      pin: flags.pin,
      offline: context.flags.offline,
      signal,
      onProgress: output.onProgress,
    }),
  )

  const { cid, path, skipped, stats } = result
  return {
    result: { cid, path, skipped, stats },
    summary: summaryOf(result),
    problems: skipped.map(({ name, reason }) => `"${name}" is left out: ${reason}`),
    failure:
      skipped.length === 0
        ? undefined
        : new P2PError('partial', `${skipped.length} of its entries could not be made`, {
            hint: 'All else is in place and verified.',
          }),
  }
}

function targetOf({ cwd, stdout }: Context, output: string | undefined): GetTarget {
  if (output === undefined) return { kind: 'inside', folder: cwd }
  if (output === '') throw new P2PError('usage', '-o needs a path', { hint: 'Leave it out to save in this folder.' })
  if (output === '-') return { kind: 'stream', write: (bytes) => writeFlushed(stdout, bytes) }
  // `-o .` is meant as a place, not as the name of the result.
  if (/(^|\/)\.{0,2}$/.test(output)) return { kind: 'inside', folder: resolve(cwd, output) }
  return { kind: 'path', path: resolve(cwd, output) }
}

/** Resolves once the reader has taken the bytes, so that a slow one slows the download. */
function writeFlushed(stdout: Context['stdout'], bytes: Uint8Array): Promise<void> {
  return new Promise((done, reject) => {
    stdout.write(bytes, (error) => {
      if (!error) done()
      // A reader that has gone is no failure, and is dealt with where the process is.
      else reject(errnoOf(error) === 'EPIPE' ? error : localIoError(error, 'write', 'stdout'))
    })
  })
}

function summaryOf({ path, stats }: GetResult): string[] {
  const givers = stats.peers.filter((peer) => peer.bytes > 0).toSorted((a, b) => b.bytes - a.bytes)
  const duplicatePercent = stats.receivedBytes === 0 ? 0 : (100 * stats.duplicateBytes) / stats.receivedBytes
  const fetchedBytes = givers.reduce((sum, peer) => sum + peer.bytes, 0)
  const facts = [
    `${formatBytes(stats.bytes)} in ${formatDuration(stats.seconds * SECOND_MS)}`,
    ...(stats.seconds > 0 && fetchedBytes > 0 ? [`${formatBytes(fetchedBytes / stats.seconds)}/s`] : []),
    givers.length === 0 ? 'all of it was here' : `from ${givers.length} ${givers.length === 1 ? 'peer' : 'peers'}`,
    `${duplicatePercent.toFixed(1)} % duplicate`,
    'verified',
  ]
  const where = path === null ? 'Done' : `Saved ${basename(path)}`
  const lines = [`${where}: ${facts.join(', ')}.`]
  if (path !== null) lines.push(`  ${path}`)
  for (const peer of givers.slice(0, MAX_PEERS_SHOWN)) {
    lines.push(`  ${formatBytes(peer.bytes)} from ${shortPeerId(peer.peerId)}  ${peer.multiaddr}`)
  }
  if (givers.length > MAX_PEERS_SHOWN) lines.push(`  and ${givers.length - MAX_PEERS_SHOWN} more`)
  return lines
}
