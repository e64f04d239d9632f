/** What all operations of a node take, besides their own arguments. */

import type { AbortOptions } from '../../common/abort.ts'
import type { OnProgress } from '../../common/progress.ts'

export interface OperationOptions extends AbortOptions {
  onProgress?: OnProgress | undefined
}

/** Of every operation that fetches what is not here. */
export interface FetchingOptions extends OperationOptions {
  /** Multiaddrs of peers to ask, each with a `/p2p/<peer id>`. */
  peers?: string[] | undefined
  /** Longest time in milliseconds without a new verified byte. Default 60,000. */
  timeoutMs?: number | undefined
  /** Use the local store alone. */
  offline?: boolean | undefined
}

/** Takes parts of a result as they come. An operation that tells many waits for it, so that a slow reader slows it down. */
export type OnEvent<Event> = (event: Event) => void | Promise<void>

/** Takes the bytes of a result in order; resolves when more may be written. */
export type WriteBytes = (bytes: Uint8Array) => Promise<void>
