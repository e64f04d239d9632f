/** A network for tests of operations: one peer, who gives what `fetch` does, and nobody to look for. */

import assert from 'node:assert/strict'
import type { Exchange, Session } from '../../../src/exchange/exchange.ts'
import type { FetchingParts } from '../../../src/node/operations/fetching.ts'

export function makeNetwork(fetch: Session['fetch']): Pick<FetchingParts, 'network'> & { openSessions: () => number } {
  let open = 0
  const session: Session = {
    fetch,
    addSource: () => {},
    release: () => {},
    countHeldBy: async () => 0,
    livePeers: 1,
    stats: () => ({ bytes: 0, blocks: 0, receivedBytes: 0, duplicateBytes: 0, peers: [], hashMs: 0, limitMs: 0 }),
    close: async () => void open--,
  }
  const openSession = () => {
    open++
    return session
  }
  const exchange: Exchange = { openSession, blockStored: () => {} }
  const routing = { async *findProviders() {}, provide: async () => assert.fail(), onFirstPeer: () => assert.fail() }
  return {
    network: async () => ({ exchange, routing, isolated: true, peerId: 'own' }),
    openSessions: () => open,
  }
}
