/** Time as an argument, so that what depends on it can be tested without waiting. */

export interface Clock {
  /** Milliseconds that only go forward; for durations and rates. */
  monotonicMs(): number
  /** Milliseconds since 1970; for records that outlive the process. */
  wallMs(): number
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
}
