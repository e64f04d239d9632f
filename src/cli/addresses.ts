/**
 * Multiaddrs from flags and the environment -> values. Apart from `flags.ts` because the parser takes longer to load
 * than `--help` may take; commands import it when they run.
 */

import { multiaddr } from '@multiformats/multiaddr'
import { P2PError } from '../common/errors.ts'
import { parsePeerAddress } from '../dag/ref.ts'

/**
 * Which peers to dial at start: the flag, else `P2P_BOOTSTRAP` (separated by commas or spaces), else undefined, which
 * leaves it to the configuration. `none` gives no peer.
 *
 * @throws P2PError `usage`, `bad-ref`
 */
export function bootstrapPeers(flag: string[] | undefined, environment: string | undefined): string[] | undefined {
  const texts = flag ?? environment?.split(/[\s,]+/).filter((text) => text !== '')
  if (texts === undefined || texts.length === 0) return undefined
  if (!texts.includes('none')) return texts.map(parsePeerAddress)
  if (texts.length === 1) return []
  throw new P2PError('usage', '--bootstrap none cannot be combined with addresses', {
    hint: 'Give either "none" or the addresses to dial.',
  })
}

/**
 * @throws P2PError `bad-ref` for anything but an IP address and a TCP port
 */
export function parseListenAddress(text: string): string {
  const names = protocolNames(text)
  const isTcp = names?.length === 2 && (names[0] === 'ip4' || names[0] === 'ip6') && names[1] === 'tcp'
  if (isTcp) return text
  throw new P2PError('bad-ref', `"${text}" is not an address to listen on`, {
    hint: 'It looks like /ip4/0.0.0.0/tcp/4001 or /ip6/::/tcp/4001; port 0 picks a free one.',
  })
}

/**
 * @throws P2PError `bad-ref` unless it names a host and a TCP port, with or without this node's own peer id
 */
export function parseAnnounceAddress(text: string): string {
  const names = protocolNames(text)
  const isHost = ['ip4', 'ip6', 'dns', 'dns4', 'dns6'].includes(names?.[0] ?? '')
  if (isHost && names?.[1] === 'tcp') return text
  throw new P2PError('bad-ref', `"${text}" is not an address to announce`, {
    hint: 'It looks like /ip4/203.0.113.7/tcp/4001 or /dns4/seed.example.net/tcp/4001.',
  })
}

/** The protocols of a multiaddr, in order; undefined if the text is none. */
function protocolNames(text: string): string[] | undefined {
  try {
    return multiaddr(text)
      .getComponents()
      .map((component) => component.name)
  } catch {
    return undefined
  }
}
