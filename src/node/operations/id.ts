/** `id`: who this node is, and where it can be dialled. */

import type { IdResult } from '../api/network.ts'
import type { NodeParts } from '../parts.ts'

/** @throws P2PError `bad-config` for a damaged identity */
export async function id({ repo, startedNetwork }: Pick<NodeParts, 'repo' | 'startedNetwork'>): Promise<IdResult> {
  const { publicKey } = await repo.identity()
  return { peerId: publicKey.toString(), multiaddrs: startedNetwork()?.host.multiaddrs() ?? [] }
}
