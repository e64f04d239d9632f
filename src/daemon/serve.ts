/**
 * The long-running shell around a node that serves others: start order, announcements, stop order and its deadline.
 * Called by `p2p serve`; what happens is reported as events, which the caller prints.
 */

import { abortControllerForMany, raceAbort } from '../common/abort.ts'
import { endsWithin } from '../common/ends-within.ts'
import { P2PError } from '../common/errors.ts'
import { SECOND_MS } from '../common/units.ts'
import { type NodeOptions, openNode } from '../node/open.ts'
import { type ApiServer, serveApi } from '../rpc/server.ts'
import type { SocketPlaces } from '../rpc/socket.ts'

export type ServeEvent =
  /** It can be dialled and answers. */
  | { type: 'ready'; peerId: string; multiaddrs: string[] }
  /** A provider record went to this many peers. */
  | { type: 'announced'; cid: string; peers: number }
  | { type: 'stopping' }
  | { type: 'not-closed'; seconds: number }

export interface ServeIo {
  /** Ends the server. */
  signal: AbortSignal
  onEvent: (event: ServeEvent) => void
}

export interface ServeOptions extends Omit<NodeOptions, 'role'> {
  /** Where the socket may be that other commands come through. */
  places: SocketPlaces
}

/** Supervisors kill after 10 s at the earliest. */
export const STOP_DEADLINE_SECONDS = 8

/**
 * Serves until the signal aborts or `p2p stop` asks it to end, which is a normal return, whenever it comes.
 *
 * @throws P2PError `repo-held`, `repo-version`, `bad-config`, `network` if nothing can be listened on, `io`
 */
export async function runServe(
  { places, ...options }: ServeOptions,
  { signal: until, onEvent }: ServeIo,
): Promise<void> {
  const { location, onProgress } = options
  const { signal, stop, release } = stopsToo(until)
  try {
    const node = await openNode({ ...options, role: 'server', signal, onStop: stop })
    let socket: ApiServer | undefined
    try {
      socket = await serveApi(node, { dataDir: location.dataDir, places, onProgress })
      await raceAbort(node.startNetwork(), { signal })
      onEvent({ type: 'ready', peerId: node.peerId, multiaddrs: node.multiaddrs() })
      node.startAnnouncing({ onAnnounced: ({ cid, peers }) => onEvent({ type: 'announced', cid, peers }) })
      await aborted(signal)
    } finally {
      onEvent({ type: 'stopping' })
      const close = async () => {
        await socket?.close()
        await node.close()
      }
      const closed = await endsWithin(close(), STOP_DEADLINE_SECONDS * SECOND_MS)
      if (!closed) onEvent({ type: 'not-closed', seconds: STOP_DEADLINE_SECONDS })
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    release()
  }
}

/** A signal that aborts when the given one does, or when `p2p stop` asks for it; `release` lets go of the given one. */
export function stopsToo(until: AbortSignal): { signal: AbortSignal; stop: () => void; release: () => void } {
  const stopping = abortControllerForMany()
  const stop = () => stopping.abort(until.reason ?? new P2PError('aborted', 'Ended by "p2p stop"'))
  if (until.aborted) stop()
  until.addEventListener('abort', stop, { once: true })
  return { signal: stopping.signal, stop, release: () => until.removeEventListener('abort', stop) }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
