/** Listening on each of several addresses, with a free port for one that is taken. Called by `host.ts`. */

import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { messageOf, P2PError } from '../common/errors.ts'
import { tcpPortOf, withTcpPort } from './addresses.ts'

/** What is needed of libp2p's transport manager. */
export interface Listeners {
  listen(addresses: Multiaddr[]): Promise<void>
  getAddrs(): Multiaddr[]
}

export interface ListenEvents {
  /** A port is taken by another program and a free one is used instead. */
  onPortTaken?: ((from: string, to: string) => void) | undefined
  /** An address cannot be listened on. */
  onListenFailed?: ((multiaddr: string, reason: string) => void) | undefined
}

/**
 * Listens on each address that it can.
 *
 * @returns why there is none, if there are addresses; undefined otherwise
 * @throws P2PError `usage` for an address that cannot be read
 */
export async function listenOn(
  listeners: Listeners,
  addresses: string[],
  events: ListenEvents,
): Promise<P2PError | undefined> {
  let firstFailure: unknown
  let listening = 0
  // One after the other: libp2p's error does not say which of several failed.
  for (const address of addresses.map(parse)) {
    try {
      await listenOrTakeFreePort(listeners, address, events)
      listening++
    } catch (error) {
      firstFailure ??= error
      events.onListenFailed?.(address.toString(), reasonOf(error))
    }
  }
  if (addresses.length === 0 || listening > 0) return undefined
  return new P2PError('network', `Cannot listen on ${addresses.join(', ')}`, {
    hint: 'Choose an address of this machine with --listen, such as /ip4/0.0.0.0/tcp/0.',
    cause: firstFailure,
  })
}

function parse(address: string): Multiaddr {
  try {
    return multiaddr(address)
  } catch (cause) {
    throw new P2PError('usage', `Not a multiaddr: ${address}`, {
      hint: 'An address to listen on looks like /ip4/0.0.0.0/tcp/4001.',
      cause,
    })
  }
}

/** What the system says; libp2p wraps it in advice for programmers. */
function reasonOf(error: unknown): string {
  const message = messageOf(error)
  const [, errno, words] = /\blisten (E[A-Z]+): ([a-z ]+[a-z])/.exec(message) ?? []
  return errno === undefined ? message : `${words} (${errno})`
}

async function listenOrTakeFreePort(listeners: Listeners, address: Multiaddr, events: ListenEvents): Promise<void> {
  try {
    await listeners.listen([address])
  } catch (error) {
    // libp2p puts the system's error into its message and nowhere else.
    if (tcpPortOf(address) === undefined || !/\bEADDRINUSE\b/.test(messageOf(error))) throw error
    const before = new Set(listeners.getAddrs().map(String))
    await listeners.listen([withTcpPort(address, 0)])
    const opened = listeners.getAddrs().find((candidate) => !before.has(candidate.toString()))
    const port = opened === undefined ? undefined : tcpPortOf(opened)
    if (port !== undefined) events.onPortTaken?.(address.toString(), withTcpPort(address, port).toString())
  }
}
