/**
 * Keeps a node connected to at least one peer of a given list. Called by `host.ts`. The library's own bootstrap module
 * waits before its first dial and never dials again.
 */

import { type AbortOptions, sleep } from '../common/abort.ts'
import { MINUTE_MS, SECOND_MS } from '../common/units.ts'

const FIRST_RETRY_MS = SECOND_MS
const MAX_RETRY_MS = MINUTE_MS

export interface BootstrapOptions {
  multiaddrs: string[]
  /** Dials one address and gives the id of the peer that answered. */
  dial: (multiaddr: string, options: AbortOptions) => Promise<string>
  isConnected: (peerId: string) => boolean
  /** Calls back whenever a peer has gone; returns how to stop that. */
  onDisconnect: (listener: () => void) => () => void
  /** Told once each time the whole list could not be reached, until one of it was. */
  onUnreachable?: ((multiaddrs: string[], reason: unknown) => void) | undefined
  /** Where in the range of a delay to retry, from 0 to 1. */
  random?: (() => number) | undefined
  /** First and longest time between two rounds of dialling, in milliseconds. */
  retry?: { firstMs: number; maxMs: number } | undefined
}

/** Dials the list at once and again with growing delays while none of it is connected, until `signal` aborts. */
export async function keepBootstrapped(options: BootstrapOptions, { signal }: { signal: AbortSignal }): Promise<void> {
  const { multiaddrs, dial, isConnected, onDisconnect, onUnreachable, random = Math.random } = options
  const { firstMs, maxMs } = options.retry ?? { firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS }
  const peerIds = new Set<string>()
  const anyConnected = () => [...peerIds].some(isConnected)
  let delayMs = firstMs
  let told = false

  while (!signal.aborted) {
    const results = await Promise.allSettled(multiaddrs.map((address) => dial(address, { signal })))
    if (signal.aborted) return
    for (const result of results) if (result.status === 'fulfilled') peerIds.add(result.value)
    const failure = results.find((result) => result.status === 'rejected')
    try {
      if (results.some((result) => result.status === 'fulfilled')) {
        delayMs = firstMs
        told = false
        await untilNoneConnected(anyConnected, onDisconnect, signal)
      } else if (!told) {
        told = true
        onUnreachable?.(multiaddrs, failure?.reason)
      }
      // Between half of the delay and all of it, so that nodes that lost the same peer do not come back as one.
      await sleep(delayMs * (0.5 + random() / 2), { signal })
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    delayMs = Math.min(delayMs * 2, maxMs)
  }
}

async function untilNoneConnected(
  anyConnected: () => boolean,
  onDisconnect: (listener: () => void) => () => void,
  signal: AbortSignal,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const check = () => {
      if (anyConnected()) return
      end()
      resolve()
    }
    const abort = () => {
      end()
      reject(signal.reason)
    }
    const end = () => {
      stopListening()
      signal.removeEventListener('abort', abort)
    }
    const stopListening = onDisconnect(check)
    signal.addEventListener('abort', abort, { once: true })
    check()
  })
}
