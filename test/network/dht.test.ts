import '../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { Provider as Announcer } from '../../src/routing/provider.ts'
import type { Provider } from '../../src/routing/routing.ts'
import type { CleanUpScope } from '../support/clean-up.ts'
import { type DhtNode, startDhtNode, untilLanPeers } from '../support/dht-node.ts'
import { until } from '../support/until.ts'

/** A test that takes as long as this hangs. */
const TIME_LIMIT = { timeout: 60_000 }

async function cidOf(text: string): Promise<CID> {
  return CID.createV1(raw.code, await sha256.digest(new TextEncoder().encode(text)))
}

async function collect(providers: AsyncIterable<Provider>): Promise<Provider[]> {
  const all: Provider[] = []
  for await (const provider of providers) all.push(provider)
  return all
}

/** Who has the CID by this node's own records; no other peer is asked. */
async function recordsAt({ host }: DhtNode, cid: CID): Promise<string[]> {
  for await (const event of host.libp2p.services.lanDht.findProviders(cid)) {
    if (event.name === 'PROVIDER' && host.libp2p.peerId.equals(event.from)) {
      return event.providers.map(({ id }) => id.toString())
    }
  }
  return []
}

/** A client that has a peer in the LAN, so that it waits for the public DHT, which stays empty, only for a moment. */
async function startClient(scope: CleanUpScope, bootstrap: string[]): Promise<DhtNode> {
  const client = await startDhtNode(scope, { role: 'client', bootstrap, firstPeerTimeoutMs: 50 })
  await untilLanPeers(client, 1)
  return client
}

test('a client finds three servers and their addresses by CID alone', TIME_LIMIT, async (t) => {
  const cid = await cidOf('found through the DHT')
  const bootstrap = await startDhtNode(t, { role: 'server' })
  const list = bootstrap.host.multiaddrs()
  const servers = await Promise.all([1, 2, 3].map(() => startDhtNode(t, { role: 'server', bootstrap: list })))
  await Promise.all(servers.map((server) => untilLanPeers(server, 1)))
  for (const server of servers) {
    const { peers, again } = await server.routing.provide(cid)
    assert.equal(again, 'first-peer', 'the public DHT had nobody to tell')
    // A receiver handles the record after the sender has counted it.
    const holders = async () => {
      const nodes = [bootstrap, ...servers].filter((node) => node !== server)
      const records = await Promise.all(nodes.map((node) => recordsAt(node, cid)))
      return records.filter((peerIds) => peerIds.includes(server.host.peerId)).length
    }
    await until(t, async () => (await holders()) === peers)
    assert.ok(peers >= 1)
  }

  const client = await startClient(t, list)
  const found = await collect(client.routing.findProviders(cid))

  assert.deepEqual(found.map(({ peerId }) => peerId).sort(), servers.map(({ host }) => host.peerId).sort())
  for (const { peerId, multiaddrs, via } of found) {
    const server = servers.find(({ host }) => host.peerId === peerId)
    assert.equal(via, 'lan-dht')
    assert.deepEqual(multiaddrs, server?.host.multiaddrs())
  }
  assert.equal(client.host.libp2p.services.lanDht.getMode(), 'client')
  assert.equal(client.host.libp2p.services.wanDht.getMode(), 'client')
  for (const { host } of servers) {
    assert.equal(host.libp2p.services.lanDht.getMode(), 'server')
    assert.equal(host.libp2p.services.wanDht.getMode(), 'client', 'no public address has been confirmed')
  }
})

test('a lonely server tells nobody, tells again at its first peer, and answers for itself', TIME_LIMIT, async (t) => {
  const cid = await cidOf('nobody to tell')
  const server = await startDhtNode(t, { role: 'server' })
  assert.deepEqual(await server.routing.provide(cid), { peers: 0, again: 'first-peer' })

  const announcements = new EventEmitter()
  const announcer = new Announcer({
    roots: async function* () {
      yield cid
    },
    routing: server.routing,
    onAnnounced: ({ peers }) => announcements.emit(peers === 0 ? 'to nobody' : 'told', peers),
  })
  announcer.start()
  await once(announcements, 'to nobody')

  const told = once(announcements, 'told')
  const other = await startDhtNode(t, { role: 'server' })
  await other.host.connect({ peerId: server.host.peerId, multiaddrs: server.host.multiaddrs() })
  assert.deepEqual(await told, [1])
  await announcer.stop()

  const client = await startClient(t, server.host.multiaddrs())
  const found = await collect(client.routing.findProviders(cid))
  assert.deepEqual(found, [
    { peerId: server.host.peerId, multiaddrs: server.host.multiaddrs(), via: 'lan-dht' },
  ] satisfies Provider[])
})

test(
  'a search of a node without peers ends by itself, and sooner when it is cancelled or the routing closes',
  TIME_LIMIT,
  async (t) => {
    const cid = await cidOf('alone')
    const quick = await startDhtNode(t, { role: 'client', firstPeerTimeoutMs: 50 })
    assert.deepEqual(await collect(quick.routing.findProviders(cid)), [])

    const patient = await startDhtNode(t, { role: 'client', firstPeerTimeoutMs: 3_600_000 })
    const controller = new AbortController()
    const cancelled = collect(patient.routing.findProviders(cid, { signal: controller.signal }))
    const reason = new Error('not wanted any longer')
    controller.abort(reason)
    await assert.rejects(cancelled, reason)

    const closed = collect(patient.routing.findProviders(cid))
    patient.routing.close()
    assert.deepEqual(await closed, [])
  },
)

test('a node that nobody can dial does not count as announced', TIME_LIMIT, async (t) => {
  const server = await startDhtNode(t, { role: 'server' })
  const client = await startDhtNode(t, { role: 'client', bootstrap: server.host.multiaddrs() })
  await untilLanPeers(client, 1)
  assert.deepEqual(await client.routing.provide(await cidOf('unreachable')), { peers: 0, again: 'later' })
})

test('a search that is left early asks no further', TIME_LIMIT, async (t) => {
  const cid = await cidOf('left early')
  const server = await startDhtNode(t, { role: 'server' })
  const client = await startDhtNode(t, {
    role: 'client',
    bootstrap: server.host.multiaddrs(),
    firstPeerTimeoutMs: 3_600_000,
  })
  await server.routing.provide(cid)
  for await (const { peerId } of client.routing.findProviders(cid)) {
    assert.equal(peerId, server.host.peerId)
    break
  }
  const stopped = once(client.host.libp2p, 'stop')
  await client.stop()
  await stopped
})
