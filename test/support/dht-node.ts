/** Real nodes with both DHTs on loopback, for tests. Imported after `src/common/node20.ts`. */

import { generateKeyPair } from '@libp2p/crypto/keys'
import { createHost, type Host } from '../../src/net/host.ts'
import { DhtRouting, type DhtService, dhtServices } from '../../src/routing/dht.ts'
import { type CleanUpScope, cleanUpAfter } from './clean-up.ts'

export interface DhtNode {
  host: Host<{ lanDht: DhtService; wanDht: DhtService }>
  routing: DhtRouting
  stop(): Promise<void>
}

/** Starts a node that is stopped when the scope ends. A server listens on a free port of 127.0.0.1. */
export async function startDhtNode(
  scope: CleanUpScope,
  options: { role: 'server' | 'client'; bootstrap?: string[]; firstPeerTimeoutMs?: number },
): Promise<DhtNode> {
  const host = await createHost({
    privateKey: await generateKeyPair('Ed25519'),
    listen: options.role === 'server' ? ['/ip4/127.0.0.1/tcp/0'] : [],
    services: dhtServices(options.role),
  })
  const { lanDht: lan, wanDht: wan } = host.libp2p.services
  const routing = new DhtRouting({ lan, wan, libp2p: host.libp2p, firstPeerTimeoutMs: options.firstPeerTimeoutMs })
  await host.start()
  host.dialBootstrap(options.bootstrap ?? [])
  const stop = async () => {
    routing.close()
    await host.stop()
  }
  cleanUpAfter(scope, stop)
  return { host, routing, stop }
}

/** Resolves once the LAN table of the node has this many peers. */
export async function untilLanPeers({ host }: DhtNode, count: number): Promise<void> {
  const { routingTable } = host.libp2p.services.lanDht
  if (routingTable.size >= count) return
  await new Promise<void>((resolve) => {
    const check = () => {
      if (routingTable.size < count) return
      routingTable.removeEventListener('peer:add', check)
      resolve()
    }
    routingTable.addEventListener('peer:add', check)
  })
}
