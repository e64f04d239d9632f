/** `stay`: keeps a caller with whoever holds the repo, and tells it where others reach this node. */

import { pid } from 'node:process'
import type { StayOptions } from '../api/network.ts'
import type { NodeParts } from '../parts.ts'
import { id } from './id.ts'

type StayParts = Pick<NodeParts, 'holder' | 'repo' | 'network' | 'startedNetwork'>

/** Never resolves; rejects with the signal's reason. */
export async function stay(parts: StayParts, { signal, onEvent }: StayOptions): Promise<never> {
  const { command, role } = parts.holder
  await onEvent({ ...(await id(parts)), serves: role === 'server', holder: { command, pid } })
  return await new Promise<never>((_resolve, reject) => {
    if (signal?.aborted === true) reject(signal.reason)
    else signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
