/** `find`: the peers that are said to have a root, as the DHTs name them. */

import { startDeadline } from '../../common/deadline.ts'
import { P2PError } from '../../common/errors.ts'
import { formatDuration } from '../../common/units.ts'
import { parseRef } from '../../dag/ref.ts'
import type { FindOptions, FindResult } from '../api/network.ts'
import type { NodeParts } from '../parts.ts'

/** @throws P2PError `bad-ref`; `no-provider`, or `timeout` if the time was up before anyone was found */
export async function find(
  { network }: Pick<NodeParts, 'network'>,
  { ref, limit = Number.POSITIVE_INFINITY, timeoutMs, signal, onEvent }: FindOptions,
): Promise<FindResult> {
  const { cid } = parseRef(ref)
  const { routing, isolated, host } = await network()
  if (isolated && host.connections().length === 0) throw nobody(cid.toString(), 'no DHT could be asked')
  const deadline = timeoutMs === undefined ? undefined : startDeadline(timeoutMs, { signal })
  const found = new Set<string>()
  try {
    for await (const provider of routing.findProviders(cid, { signal: deadline?.signal ?? signal })) {
      found.add(provider.peerId)
      await onEvent?.(provider)
      if (found.size >= limit) break
    }
  } catch (error) {
    if (deadline?.expired !== true) throw error
  } finally {
    deadline?.release()
  }
  const timedOut = deadline?.expired === true
  if (found.size > 0) return { cid: cid.toString(), providers: found.size, timedOut }
  if (!timedOut) throw nobody(cid.toString(), 'the DHTs name nobody else')
  throw new P2PError('timeout', `No provider for ${cid} was found within ${formatDuration(timeoutMs ?? 0)}`, {
    hint: 'Give it more time with --timeout.',
  })
}

function nobody(cid: string, reason: string): P2PError {
  return new P2PError('no-provider', `No provider for ${cid}: ${reason}`, {
    hint: 'Ask the sender to keep "p2p serve" running, and for its address.',
  })
}
