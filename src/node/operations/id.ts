/** `id`: who this node is, and where it can be dialled. */

import type { IdResult } from '../api/network.ts'
import type { NodeParts } from '../parts.ts'

/** @throws P2PError `bad-config` for a damaged identity */
export async function id(parts: Pick<NodeParts, 'holder' | 'repo' | 'network' | 'startedNetwork'>): Promise<IdResult> {
  const { publicKey } = await parts.repo.identity()
  // A server answers others before it listens, and is about to.
  const network = parts.holder.role === 'server' ? await parts.network() : parts.startedNetwork()
  return { peerId: publicKey.toString(), multiaddrs: network?.host.multiaddrs() ?? [] }
}
