/** Options that every long call takes, and waiting that can be cancelled. */

import { setMaxListeners } from 'node:events'

export interface AbortOptions {
  /** Cancels the call; it then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

/** One whose signal any number of operations may listen to at the same time; Node takes more than ten for a leak. */
export function abortControllerForMany(): AbortController {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}

/**
 * Waits `ms` milliseconds, or rejects with the signal's reason. The timer keeps the process alive.
 */
export async function sleep(ms: number, { signal }: AbortOptions = {}): Promise<void> {
  signal?.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** `promise`, or a rejection with the signal's reason as soon as it aborts. The work behind it is not stopped. */
export async function raceAbort<T>(promise: Promise<T>, { signal }: AbortOptions): Promise<T> {
  if (signal === undefined) return await promise
  signal.throwIfAborted()
  let onAbort: (() => void) | undefined
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_resolve, reject) => {
        onAbort = () => reject(signal.reason)
        signal.addEventListener('abort', onAbort, { once: true })
      }),
    ])
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}

/** The items as they come; ends at once with the signal's reason when it aborts, also while it waits for one. */
export async function* abortable<T>(items: AsyncIterable<T>, options: AbortOptions): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await raceAbort(iterator.next(), options)
      if (next.done === true) return
      yield next.value
    }
  } finally {
    // One that waits for more does not answer before it comes, so nothing waits for this.
    iterator.return?.().catch(() => {})
  }
}
