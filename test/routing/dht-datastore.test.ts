import '../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { openDatabase } from '../../src/database/database.ts'
import { createHost } from '../../src/net/host.ts'
import { dhtServices } from '../../src/routing/dht.ts'
import { limitDhtRecords } from '../../src/routing/dht-datastore.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { startDhtNode, untilLanPeers } from '../support/dht-node.ts'
import { makeTempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'

/** A test that takes as long as this hangs. */
const TIME_LIMIT = { timeout: 60_000 }

test(
  'a DHT server keeps no more records of others than the limit, and its own only for one run',
  TIME_LIMIT,
  async (t) => {
    const database = await openDatabase(join(await makeTempDir(t), 'db'))
    cleanUpAfter(t, () => database.close())
    const datastore = await database.datastore('libp2p')
    const privateKey = await generateKeyPair('Ed25519')
    const peerId = peerIdFromPrivateKey(privateKey).toString()
    const cids = await Promise.all(
      Array.from({ length: 8 }, async (_, index) => CID.createV1(raw.code, await sha256.digest(Buffer.from([index])))),
    )
    const recordKeys = async (whose: (key: string) => boolean) => {
      const keys: string[] = []
      for await (const key of datastore.queryKeys({ prefix: '/dht-lan/' })) {
        if (whose(key.toString())) keys.push(key.toString())
      }
      return keys
    }
    const own = (key: string) => key.endsWith(`/${peerId}`)
    const others = (key: string) => !own(key)

    const limited = await limitDhtRecords(datastore, { peerId, maxRecords: 5 })
    const server = await createHost({
      privateKey,
      datastore: limited,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      services: dhtServices('server'),
    })
    cleanUpAfter(t, () => server.stop())
    await server.start()
    for (const cid of cids) {
      for await (const _event of server.libp2p.services.lanDht.provide(cid)) {
        // Told to nobody; the record is kept here.
      }
    }
    assert.equal((await recordKeys(own)).length, 8)

    const stranger = await startDhtNode(t, { role: 'server', bootstrap: server.multiaddrs() })
    await untilLanPeers(stranger, 1)
    for (const cid of cids) assert.equal((await stranger.routing.provide(cid)).peers, 1)
    await until(t, async () => (await recordKeys(others)).length === 5)
    // Records are handled in the order they were sent, so the last one has been refused once the server has answered.
    for await (const _event of stranger.host.libp2p.services.lanDht.getClosestPeers(cids[0]!.multihash.bytes)) {
      // Nothing to do with them.
    }
    assert.equal((await recordKeys(others)).length, 5)

    await stranger.stop()
    await server.stop()
    await limitDhtRecords(datastore, { peerId })
    assert.deepEqual(await recordKeys(own), [])
    assert.equal((await recordKeys(others)).length, 5)
  },
)
