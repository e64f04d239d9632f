/**
 * What an address says about the way to a peer. Called by `host.ts` and by those who show or choose addresses.
 * Addresses are multiaddrs: https://github.com/multiformats/multiaddr
 */

import { BlockList } from 'node:net'
import { CODE_IP4, CODE_IP6, CODE_P2P, CODE_TCP, type Multiaddr, multiaddr } from '@multiformats/multiaddr'

/** `loopback`: this machine. `lan`: private and link-local ranges. `direct`: everything else. */
export type AddressPath = 'loopback' | 'lan' | 'direct'

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

const LAN = new BlockList()
LAN.addSubnet('10.0.0.0', 8, 'ipv4')
LAN.addSubnet('172.16.0.0', 12, 'ipv4')
LAN.addSubnet('192.168.0.0', 16, 'ipv4')
LAN.addSubnet('169.254.0.0', 16, 'ipv4')
LAN.addSubnet('fc00::', 7, 'ipv6')
LAN.addSubnet('fe80::', 10, 'ipv6')

const LINK_LOCAL = new BlockList()
LINK_LOCAL.addSubnet('169.254.0.0', 16, 'ipv4')
LINK_LOCAL.addSubnet('fe80::', 10, 'ipv6')

interface IpAddress {
  family: 'ipv4' | 'ipv6'
  host: string
}

function ipOf(address: Multiaddr): IpAddress | undefined {
  for (const { name, value } of address.getComponents()) {
    if (name === 'ip4' && value !== undefined) return { family: 'ipv4', host: value }
    if (name === 'ip6' && value !== undefined) return { family: 'ipv6', host: value }
    if (name !== 'ip6zone') return undefined
  }
  return undefined
}

/** How a peer at this multiaddr is reached. What cannot be read, and names (`/dns4/…`), count as `direct`. */
export function pathOf(address: string | Multiaddr): AddressPath {
  let ip: IpAddress | undefined
  try {
    ip = ipOf(typeof address === 'string' ? multiaddr(address) : address)
  } catch {
    return 'direct'
  }
  if (ip === undefined) return 'direct'
  if (LOOPBACK.check(ip.host, ip.family)) return 'loopback'
  return LAN.check(ip.host, ip.family) ? 'lan' : 'direct'
}

/**
 * Those of a node's own addresses that others can dial, in the same order: no loopback, unless there is nothing else,
 * and none that means something else on every network.
 */
export function dialableByOthers(multiaddrs: readonly string[]): string[] {
  const dialable = multiaddrs.filter((address) => !isLinkLocal(address))
  const elsewhere = dialable.filter((address) => pathOf(address) !== 'loopback')
  return elsewhere.length > 0 ? elsewhere : dialable
}

function isLinkLocal(address: string): boolean {
  const ip = ipOf(multiaddr(address))
  return ip !== undefined && LINK_LOCAL.check(ip.host, ip.family)
}

/**
 * The part of an address that one party can be held to: the IPv4 address, or the /64 of an IPv6 address, because that
 * is what a single subscriber gets. Undefined for addresses without an IP.
 */
export function ipGroupOf(address: Multiaddr): string | undefined {
  const { bytes } = address
  if (bytes[0] === CODE_IP4) return Buffer.from(bytes.subarray(1, 5)).toString('hex')
  if (bytes[0] === CODE_IP6) return Buffer.from(bytes.subarray(1, 9)).toString('hex')
  return undefined
}

/** The peer id at the end of a multiaddr, if it has one. */
export function peerIdIn(address: Multiaddr): string | undefined {
  return address.getComponents().findLast(({ code }) => code === CODE_P2P)?.value
}

/** The TCP port of a multiaddr. */
export function tcpPortOf(address: Multiaddr): number | undefined {
  const port = address.getComponents().find(({ code }) => code === CODE_TCP)?.value
  return port === undefined ? undefined : Number(port)
}

/** The multiaddr with another TCP port. */
export function withTcpPort(address: Multiaddr, port: number): Multiaddr {
  const parts = address.getComponents().map(({ code, name, value }) => {
    if (code === CODE_TCP) return `/tcp/${port}`
    return value === undefined ? `/${name}` : `/${name}/${value}`
  })
  return multiaddr(parts.join(''))
}

/** The multiaddr with `/p2p/<peer id>` at its end. */
export function withPeerId(address: Multiaddr, peerId: string): Multiaddr {
  return peerIdIn(address) === undefined ? address.encapsulate(`/p2p/${peerId}`) : address
}
