/** A process of `host.test.ts`: two nodes with DHTs that connect, announce, and stop. It must then end by itself. */

import '../../src/common/node20.ts'
import { CID } from 'multiformats/cid'
import { startDhtNode, untilLanPeers } from '../support/dht-node.ts'

const scope = { after: () => {} }
const server = await startDhtNode(scope, { role: 'server' })
const other = await startDhtNode(scope, {
  role: 'server',
  bootstrap: [...server.host.multiaddrs(), '/ip4/127.0.0.1/tcp/1'],
})
await untilLanPeers(other, 1)
await other.routing.provide(CID.parse('bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'))
process.stdout.write('connected\n')
// A search that still waits for a peer of the public DHT.
const search = other.routing
  .findProviders(CID.parse('bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'))
  [Symbol.asyncIterator]()
void search.next()
await Promise.all([server.stop(), other.stop()])
process.stdout.write('stopped\n')
