/**
 * What one node takes on, and the limits that libp2p has no option for. Called by `host.ts`.
 * Others' figures: https://github.com/libp2p/js-libp2p/blob/main/doc/LIMITS.md
 */

import type { Connection, ConnectionGater, Libp2p, MultiaddrConnection } from '@libp2p/interface'
import { MiB } from '../common/units.ts'
import { ipGroupOf, pathOf } from './addresses.ts'

export const LIMITS = {
  connections: 512,
  connectionsPerIp: 64,
  newConnectionsPerSecondPerIp: 50,
  pendingInboundConnections: 16,
  inboundStreamsPerConnection: 128,
  outboundStreamsPerConnection: 256,
  /** Carries 40 MiB/s a stream over a link of 100 ms. Has to stay below the read buffer, or a paused stream resets. */
  streamWindowBytes: 4 * MiB,
  streamReadBufferBytes: 16 * MiB,
  streamWriteBufferBytes: 16 * MiB,
  addressesPerPeer: 64,
  protocolsPerPeer: 1024,
} as const

/** Refuses connections beyond one IP's share; behind a loopback or LAN address there may be many. */
export function perIpGater(connections: () => Pick<Connection, 'remoteAddr'>[]): ConnectionGater {
  const refuses = (incoming: MultiaddrConnection): boolean => {
    if (pathOf(incoming.remoteAddr) !== 'direct') return false
    const group = ipGroupOf(incoming.remoteAddr)
    const held = connections().filter(({ remoteAddr }) => ipGroupOf(remoteAddr) === group).length
    return held >= LIMITS.connectionsPerIp
  }
  return {
    denyInboundConnection: refuses,
    // Again at the end, because connections that were being set up side by side did not count each other.
    denyInboundUpgradedConnection: (_peerId, incoming) => refuses(incoming),
  }
}

/** Trims what a peer says about itself; the peer store keeps all of it, and all that other peers say. */
export function limitPeerRecords(libp2p: Libp2p): void {
  const { addressesPerPeer, protocolsPerPeer } = LIMITS
  libp2p.addEventListener('peer:update', ({ detail: { peer } }) => {
    if (peer.addresses.length <= addressesPerPeer && peer.protocols.length <= protocolsPerPeer) return
    void libp2p.peerStore
      .patch(peer.id, {
        addresses: peer.addresses.slice(0, addressesPerPeer),
        protocols: peer.protocols.slice(0, protocolsPerPeer),
      })
      // The store may be closed by now; then there is nothing to trim.
      .catch(() => {})
  })
}
