/** `stop`: lets the server on this repo end, as a signal would. */

import { pid } from 'node:process'
import { P2PError } from '../../common/errors.ts'
import type { StopResult } from '../api/network.ts'
import type { NodeParts } from '../parts.ts'

/** @throws P2PError `not-found` if whoever holds the repo is no server */
export async function stop({ holder }: Pick<NodeParts, 'holder'>): Promise<StopResult> {
  const { command } = holder
  if (holder.stop !== undefined) {
    holder.stop()
    return { command, pid }
  }
  const held = command === 'p2p stop' ? '' : `; it is held by \`${command}\` (pid ${pid}), which ends by itself`
  throw new P2PError('not-found', `No server runs on this repo${held}`, {
    hint: 'Name the repo of the server with --repo, if it has another one.',
  })
}
