/** `peers`: who is connected, and what each gave and took. */

import { pathOf } from '../../net/addresses.ts'
import type { ConnectedPeer, PeersResult } from '../api/network.ts'
import type { NodeParts } from '../parts.ts'

export async function peers({ startedNetwork }: Pick<NodeParts, 'startedNetwork'>): Promise<PeersResult> {
  const network = startedNetwork()
  if (network === undefined) return { peers: [], reachable: false }
  const { host, exchange } = network
  const connected = host.connections().map(
    (connection): ConnectedPeer => ({
      ...connection,
      path: pathOf(connection.multiaddr),
      ...exchange.traffic.of(connection.peerId),
    }),
  )
  connected.sort((a, b) => exchangedBytes(b) - exchangedBytes(a) || a.peerId.localeCompare(b.peerId))
  return { peers: connected, reachable: host.multiaddrs().length > 0 }
}

function exchangedBytes({ receivedBytes, sentBytes }: ConnectedPeer): number {
  return receivedBytes + sentBytes
}
