/** `connect`: a connection to a peer that the user names. */

import { sourcesOf } from '../../dag/ref.ts'
import { pathOf } from '../../net/addresses.ts'
import type { ConnectOptions, ConnectResult } from '../api/network.ts'
import type { NodeParts } from '../parts.ts'

/** @throws P2PError `bad-ref` for what is not the address of a peer, `network` if it cannot be reached */
export async function connect(
  { network, holder }: Pick<NodeParts, 'network' | 'holder'>,
  { multiaddr, signal }: ConnectOptions,
): Promise<ConnectResult> {
  const [target] = sourcesOf([multiaddr])
  const { host } = await network()
  await host.connect(target!, { signal })
  const { peerId } = target!
  const inUse = host.connections().find((connection) => connection.peerId === peerId)?.multiaddr ?? multiaddr
  return { peerId, multiaddr: inUse, path: pathOf(inUse), stays: holder.role === 'server' }
}
