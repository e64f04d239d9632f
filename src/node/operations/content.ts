/** What a caller sends along with an operation: its stdin. */

import { type AbortOptions, abortable } from '../../common/abort.ts'
import { localIoError } from '../../common/errors.ts'

/** @throws P2PError `io` if it breaks; the signal's reason when aborted, also while nothing comes */
export async function* readContent(
  content: AsyncIterable<Uint8Array>,
  options: AbortOptions,
): AsyncGenerator<Uint8Array> {
  try {
    yield* abortable(content, options)
  } catch (error) {
    options.signal?.throwIfAborted()
    throw localIoError(error, 'read', 'stdin')
  }
}
