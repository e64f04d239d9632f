/** A time limit laid over a caller's signal, without leaving anything behind on that signal (as `AbortSignal.any` does). */

import { type AbortOptions, abortControllerForMany } from './abort.ts'

export interface Deadline {
  /** Aborts with the caller's reason, or with a `TimeoutError` when the time is up. */
  readonly signal: AbortSignal
  /** True once the time is up, if the caller had not aborted before. */
  readonly expired: boolean
  /** Must be called when the work has ended. */
  release(): void
  /** Releases, and aborts what is still going on under the signal. */
  cancel(): void
}

/** Starts a time limit of `ms` milliseconds. Its timer does not keep the process alive. */
export function startDeadline(ms: number, { signal }: AbortOptions = {}): Deadline {
  const controller = abortControllerForMany()
  let expired = false
  const timer = setTimeout(() => {
    expired = !controller.signal.aborted
    controller.abort(new DOMException(`Not finished within ${ms} ms`, 'TimeoutError'))
  }, ms)
  timer.unref()
  const onAbort = () => controller.abort(signal?.reason)
  if (signal?.aborted === true) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })
  const release = () => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
  return {
    signal: controller.signal,
    get expired() {
      return expired
    },
    release,
    cancel() {
      release()
      controller.abort()
    },
  }
}
