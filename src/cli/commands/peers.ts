/** `p2p peers`: who is connected, and what each gave and took. */

import { formatBytes } from '../../common/units.ts'
import type { ConnectedPeer } from '../../node/api/network.ts'
import { columns } from '../columns.ts'
import { type Context, runOperation } from '../context.ts'
import type { HoldFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

/** @throws P2PError `repo-held`, `io` */
export async function peers(context: Context, { timeout }: HoldFlags): Promise<Outcome> {
  const needs = { command: 'p2p peers', holdTimeoutMs: timeout }
  const { peers, reachable } = await runOperation(context, needs, 'peers', {})
  for (const line of columns(peers.map(row))) context.output.resultLine(line)
  const summary = reachable
    ? ['Nobody is connected.']
    : ['Nobody is connected: connections are those of the command that holds the repo, such as "p2p serve".']
  return { result: { peers }, summary: peers.length === 0 ? summary : [] }
}

function row(peer: ConnectedPeer): string[] {
  const { peerId, path, direction, rttMs, multiaddr } = peer
  return [
    peerId,
    direction,
    path,
    `gave ${amount(peer.receivedBytes, peer.receivedBytesPerSecond)}`,
    `took ${amount(peer.sentBytes, peer.sentBytesPerSecond)}`,
    rttMs === null ? '-' : `${rttMs.toFixed(rttMs < 10 ? 1 : 0)} ms`,
    multiaddr,
  ]
}

function amount(bytes: number, bytesPerSecond: number): string {
  return bytesPerSecond < 1 ? formatBytes(bytes) : `${formatBytes(bytes)} (${formatBytes(bytesPerSecond)}/s)`
}
