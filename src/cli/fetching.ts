/** What all commands have in common that fetch what is not here, besides `get`. */

import { parsePeerAddress } from '../dag/ref.ts'
import type { FetchingOptions } from '../node/api/operation.ts'
import type { Context } from './context.ts'
import type { FetchingFlags } from './flags.ts'

/** @throws P2PError `bad-ref` for a `--peer` that is no address of one */
export function fetchingOptions({ flags }: Context, { peer, timeout }: FetchingFlags): Omit<FetchingOptions, 'signal'> {
  return { peers: peer?.map(parsePeerAddress), timeoutMs: timeout, offline: flags.offline }
}
