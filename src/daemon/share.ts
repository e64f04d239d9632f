/**
 * `share`: adds, and stays until it is ended, serving by itself or through the server that holds the repo; when that one
 * ends, it goes on alone. Called by `p2p share`; what happens is reported as events, which the caller prints.
 */

import { endsWithin } from '../common/ends-within.ts'
import { SECOND_MS } from '../common/units.ts'
import { inspectPath } from '../files/tree.ts'
import type { StayEvent } from '../node/api/network.ts'
import type { AddOptions, AddResult, AddSource } from '../node/api.ts'
import { SharedApi, type SharedApiOptions } from '../rpc/shared-api.ts'
import { type ServeEvent, STOP_DEADLINE_SECONDS, stopsToo } from './serve.ts'

export type ShareEvent =
  | Exclude<ServeEvent, { type: 'ready' }>
  /** All of it is durable. */
  | { type: 'added'; result: AddResult }
  /** Where others find it from now on. */
  | { type: 'serving'; from: StayEvent }

export interface ShareIo {
  /** Ends it. */
  signal: AbortSignal
  onEvent: (event: ShareEvent) => void
}

/**
 * Returns when the signal aborts or `p2p stop` asks it to end after everything was added, or at once if nothing could be.
 *
 * @throws P2PError `not-found` before anything is opened; as `Api.add` does, `repo-held`, `network` if nothing can be
 * listened on; if it is ended before, the signal's reason or `aborted`
 */
export async function runShare(
  options: Omit<SharedApiOptions, 'role' | 'onHold' | 'onStop'>,
  sources: AddSource[],
  addOptions: AddOptions,
  { signal: until, onEvent }: ShareIo,
): Promise<void> {
  // A mistake shows before anybody is told of this node.
  for (const source of sources) if ('path' in source) await inspectPath(source.path, addOptions)
  const { signal, stop, release } = stopsToo(until)
  const api = new SharedApi({
    ...options,
    role: 'server',
    onStop: () => stop(),
    onHold: async (node) => {
      await node.startNetwork()
      node.startAnnouncing({ onAnnounced: ({ cid, peers }) => onEvent({ type: 'announced', cid, peers }) })
    },
  })
  let isAdded = false
  try {
    const result = await api.add(sources, { ...addOptions, signal })
    onEvent({ type: 'added', result })
    if (result.roots.length === 0) return
    isAdded = true
    await api.run('stay', {
      signal,
      onProgress: options.onProgress,
      onEvent: (from) => onEvent({ type: 'serving', from }),
    })
  } catch (error) {
    if (!isAdded || !signal.aborted) throw error
  } finally {
    release()
    if (isAdded) onEvent({ type: 'stopping' })
    const closed = await endsWithin(api.close(), STOP_DEADLINE_SECONDS * SECOND_MS)
    if (!closed) onEvent({ type: 'not-closed', seconds: STOP_DEADLINE_SECONDS })
  }
}
