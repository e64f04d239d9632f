/** Dialling with a time limit and second tries. Called by `host.ts`. */

import type { Connection, Libp2p } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { type AbortOptions, sleep } from '../common/abort.ts'
import { startDeadline } from '../common/deadline.ts'
import { errnoOf, messageOf, P2PError } from '../common/errors.ts'
import { SECOND_MS } from '../common/units.ts'
import { withPeerId } from './addresses.ts'

/** For all addresses and attempts together. Given a signal, libp2p sets no limit of its own but 6 s an address. */
const DIAL_TIMEOUT_MS = 15 * SECOND_MS
const ATTEMPTS = 3
const RETRY_MS = 300

/** Failures that another attempt would only repeat; all else may be a peer that is busy accepting others. */
const FINAL_FAILURES = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'DialDeniedError',
  'InvalidPeerIdError',
  'NoValidAddressesError',
])

/** A peer and where it may be; addresses may be empty if it is known already. */
export interface DialTarget {
  peerId: string
  multiaddrs: string[]
}

/**
 * Connects to a peer, unless it is connected.
 *
 * @throws P2PError `network` when it cannot be reached, or the signal's reason
 */
export async function connectTo(libp2p: Libp2p, target: DialTarget, { signal }: AbortOptions): Promise<void> {
  const { peerId, multiaddrs } = target
  const deadline = startDeadline(DIAL_TIMEOUT_MS, { signal })
  let failure: unknown
  try {
    const id = peerIdFromString(peerId)
    const addresses = multiaddrs.map((address) => withPeerId(multiaddr(address), peerId))
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      try {
        await libp2p.dial(addresses.length > 0 ? addresses : id, { signal: deadline.signal })
        return
      } catch (error) {
        failure = error
        if (deadline.signal.aborted || isFinal(error)) break
      }
      // Jitter, so that those who were refused together do not come back together.
      if (attempt < ATTEMPTS) await sleep(RETRY_MS * attempt * (0.5 + Math.random()), { signal: deadline.signal })
    }
  } catch (error) {
    failure ??= error
  } finally {
    deadline.release()
  }
  signal?.throwIfAborted()
  const where = multiaddrs.length === 0 ? '' : ` at ${multiaddrs.join(', ')}`
  const reason = deadline.expired ? `no answer within ${DIAL_TIMEOUT_MS / SECOND_MS} s` : reasonOf(failure)
  throw new P2PError('network', `Cannot connect to ${peerId}${where}: ${reason}`, { cause: failure })
}

/** Dials one address, once. */
export async function dialOnce(libp2p: Libp2p, address: Multiaddr, { signal }: AbortOptions): Promise<Connection> {
  const deadline = startDeadline(DIAL_TIMEOUT_MS, { signal })
  try {
    return await libp2p.dial(address, { signal: deadline.signal })
  } finally {
    deadline.release()
  }
}

/** True when every address failed in a way that does not pass within seconds. */
function isFinal(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.every(isFinal)
  return FINAL_FAILURES.has(errnoOf(error) ?? '') || FINAL_FAILURES.has((error as Error)?.name)
}

function reasonOf(error: unknown): string {
  const errors: unknown[] = error instanceof AggregateError ? error.errors : [error]
  return [...new Set(errors.map(messageOf))].join('; ')
}
