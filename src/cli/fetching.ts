/** What all commands have in common that fetch what is not here, besides `get`. */

import type { FetchingOptions } from '../node/api/operation.ts'
import type { Context } from './context.ts'
import type { FetchingFlags } from './flags.ts'

/** @throws P2PError `bad-ref` for a `--peer` that is no address of one */
export async function fetchingOptions(
  { flags }: Context,
  { peer, timeout }: FetchingFlags,
): Promise<Pick<FetchingOptions, 'peers' | 'timeoutMs' | 'offline'>> {
  // What parses addresses takes longer to load than a small command may take.
  const peers = peer && (await import('../dag/ref.ts').then(({ parsePeerAddress }) => peer.map(parsePeerAddress)))
  return { peers, timeoutMs: timeout, offline: flags.offline }
}
