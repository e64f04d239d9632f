/** `status`: what is kept, to whom it was announced, and what the server does that this runs in, if it is one. */

import { pid } from 'node:process'
import type { ServerStatus, StatusOptions, StatusResult } from '../api/network.ts'
import type { NodeParts } from '../parts.ts'
import { id } from './id.ts'

type StatusParts = Pick<NodeParts, 'holder' | 'repo' | 'pins' | 'network' | 'startedNetwork' | 'provider'>

export async function status(parts: StatusParts, { onEvent, signal }: StatusOptions): Promise<StatusResult> {
  let roots = 0
  let bytes = 0
  for await (const pin of parts.pins.list()) {
    signal?.throwIfAborted()
    roots++
    bytes += pin.bytes
    const announced = parts.provider()?.announcementOf(pin.cid)
    await onEvent?.({
      cid: pin.cid.toString(),
      name: pin.name ?? null,
      bytes: pin.bytes,
      kind: pin.kind,
      announced: announced === undefined ? null : { at: isoTime(announced.atMs), peers: announced.peers },
    })
  }
  return { server: parts.holder.role === 'server' ? await serverStatus(parts) : null, roots, bytes }
}

async function serverStatus(parts: StatusParts): Promise<ServerStatus> {
  const { holder, startedNetwork, provider } = parts
  const network = startedNetwork()
  const againAtMs = provider()?.nextRoundAtMs()
  return {
    command: holder.command,
    pid,
    version: holder.version,
    since: isoTime(holder.sinceMs),
    ...(await id(parts)),
    connections: network?.host.connections().length ?? 0,
    announcesAgain: againAtMs === undefined ? null : isoTime(againAtMs),
    ...(network?.exchange.traffic.total() ?? {
      receivedBytes: 0,
      sentBytes: 0,
      receivedBytesPerSecond: 0,
      sentBytesPerSecond: 0,
    }),
  }
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
