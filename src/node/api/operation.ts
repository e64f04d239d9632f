/** What all operations of a node take, besides their own arguments. */

import type { AbortOptions } from '../../common/abort.ts'
import type { OnProgress } from '../../common/progress.ts'

export interface OperationOptions extends AbortOptions {
  onProgress?: OnProgress | undefined
}

/** Takes parts of a result as they come. An operation that tells many waits for it, so that a slow reader slows it down. */
export type OnEvent<Event> = (event: Event) => void | Promise<void>

/** Takes the bytes of a result in order; resolves when more may be written. */
export type WriteBytes = (bytes: Uint8Array) => Promise<void>
