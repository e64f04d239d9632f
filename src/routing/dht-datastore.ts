/**
 * Bounds what strangers can make a DHT server store: kad-dht itself keeps every record it is given. Laid by
 * `node/open.ts` over the datastore that the host gets.
 */

import type { KadDHTComponents } from '@libp2p/kad-dht'
import { DHT_DATASTORE_PREFIXES } from './dht.ts'

type Datastore = KadDHTComponents['datastore']
type Key = Parameters<Datastore['get']>[0]

/** About 200 bytes each. */
const MAX_RECORDS = 50_000

export interface DhtDatastoreOptions {
  /** Id of this node; its own records are always stored. */
  peerId: string
  /** Both DHTs together. Default 50,000. */
  maxRecords?: number | undefined
}

/**
 * The datastore with a limit on the DHTs' records: a new one beyond it is dropped, one that is there is renewed. Records
 * of this node from earlier runs are removed, because its roots may have changed; those that stand are announced anew.
 */
export async function limitDhtRecords(datastore: Datastore, options: DhtDatastoreOptions): Promise<Datastore> {
  const { peerId, maxRecords = MAX_RECORDS } = options
  const prefixes = Object.values(DHT_DATASTORE_PREFIXES).map((prefix) => `${prefix}/`)
  const isRecord = (key: Key) => prefixes.some((prefix) => key.toString().startsWith(prefix))
  const isOwn = (key: Key) => key.toString().endsWith(`/${peerId}`)

  let records = 0
  for (const prefix of prefixes) {
    for await (const key of datastore.queryKeys({ prefix })) {
      if (isOwn(key)) await datastore.delete(key)
      else records++
    }
  }

  return {
    has: (key, call) => datastore.has(key, call),
    get: (key, call) => datastore.get(key, call),
    getMany: (keys, call) => datastore.getMany(keys, call),
    putMany: (pairs, call) => datastore.putMany(pairs, call),
    deleteMany: (keys, call) => datastore.deleteMany(keys, call),
    batch: () => datastore.batch(),
    query: (query, call) => datastore.query(query, call),
    queryKeys: (query, call) => datastore.queryKeys(query, call),

    async put(key, value, call) {
      if (isRecord(key) && !isOwn(key) && !(await datastore.has(key, call))) {
        if (records >= maxRecords) return key
        records++
      }
      return await datastore.put(key, value, call)
    },

    async delete(key, call) {
      if (isRecord(key) && !isOwn(key) && (await datastore.has(key, call))) records--
      await datastore.delete(key, call)
    },
  }
}
