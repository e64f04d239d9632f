/**
 * The ecosystem's suite for its blockstore interface, run over stores of ours by `suite.test.ts`. It is written for mocha
 * and the `expect` of aegir: `node:test` and `support/aegir-chai.ts` take their place.
 *
 * All of it is run. Where its rules differ from ours the adapter below bridges them, which is what does not apply:
 *
 * - Blocks come and go as streams of chunks there. Ours are whole, since a block is hashed before anybody gets a byte of it.
 * - A missing block is an error there, `NotFoundError`; ours is undefined, since that is no failure.
 * - `putMany`, `getMany` and `deleteMany` are loops there as here: nobody has use for them, so that our stores have none.
 * - `getAll` gives blocks; ours lists keys, so that a million blocks can be listed without being read. What it gives is
 *   named by the multihash alone, there as here.
 * - It asks nothing about syncing, verification or which hashes are allowed: those are in `suite.ts`.
 *
 * @see https://github.com/ipfs/js-stores/tree/main/packages/interface-blockstore-tests
 */

import { register } from 'node:module'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import type { BlockStore } from '../../src/blockstore/blockstore.ts'
import type { AbortOptions } from '../../src/common/abort.ts'
import { multihashOfKey, rawCid } from '../../src/dag/cid.ts'
import { type CleanUpScope, type OpenScope, openScope } from '../support/clean-up.ts'

interface InterfaceTest {
  setup(): Promise<Adapter>
  teardown(adapter: Adapter): Promise<void>
}

type Bytes = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>

const runSuite = await loadSuite()

async function loadSuite() {
  Object.assign(globalThis, { describe, it, beforeEach, afterEach })
  const chai = new URL('../support/aegir-chai.js', import.meta.url).href
  const loader = `export const resolve = async (specifier, context, next) => specifier === 'aegir/chai'
    ? { url: ${JSON.stringify(chai)}, shortCircuit: true }
    : await next(specifier, context)`
  register(`data:text/javascript,${encodeURIComponent(loader)}`)
  const { interfaceBlockstoreTests } = await import('interface-blockstore-tests')
  // Ours has what the suite calls, and no more.
  return interfaceBlockstoreTests as unknown as (test: InterfaceTest) => void
}

/** Runs the suite over a store that `make` gives; it is made anew for each test. */
export function interfaceSuite(name: string, make: (scope: CleanUpScope) => Promise<{ store: BlockStore }>): void {
  describe(`${name}, by the suite of interface-blockstore`, () => {
    const scopes = new Map<Adapter, OpenScope>()
    runSuite({
      setup: async () => {
        const scope = openScope()
        const adapter = new Adapter((await make(scope)).store)
        scopes.set(adapter, scope)
        return adapter
      },
      teardown: async (adapter: Adapter) => {
        await scopes.get(adapter)?.end()
        scopes.delete(adapter)
      },
    })
  })
}

/** A store of ours behind the ecosystem's interface. */
class Adapter {
  readonly #store: BlockStore

  constructor(store: BlockStore) {
    this.#store = store
  }

  async put(cid: CID, bytes: Bytes, options?: AbortOptions): Promise<CID> {
    const chunks: Uint8Array[] = []
    if (bytes instanceof Uint8Array) chunks.push(bytes)
    else for await (const chunk of bytes) chunks.push(chunk)
    await this.#store.put(cid, Buffer.concat(chunks), options)
    return cid
  }

  async *get(cid: CID, options?: AbortOptions): AsyncGenerator<Uint8Array> {
    const bytes = await this.#store.get(cid, options)
    if (bytes === undefined) throw Object.assign(new Error(`${cid} is not here`), { name: 'NotFoundError' })
    // The suite compares with a plain array.
    yield new Uint8Array(bytes)
  }

  async has(cid: CID, options?: AbortOptions): Promise<boolean> {
    return await this.#store.has(cid, options)
  }

  async delete(cid: CID, options?: AbortOptions): Promise<void> {
    await this.#store.delete(cid, options)
  }

  async *putMany(blocks: Iterable<{ cid: CID; bytes: Bytes }>, options?: AbortOptions): AsyncGenerator<CID> {
    for (const { cid, bytes } of blocks) yield await this.put(cid, bytes, options)
  }

  async *getMany(cids: Iterable<CID>, options?: AbortOptions) {
    for (const cid of cids) yield { cid, bytes: this.get(cid, options) }
  }

  async *deleteMany(cids: Iterable<CID>, options?: AbortOptions): AsyncGenerator<CID> {
    for (const cid of cids) {
      await this.delete(cid, options)
      yield cid
    }
  }

  async *getAll(options?: AbortOptions) {
    for await (const key of this.#store.keys(options)) {
      const cid = rawCid(Digest.decode(multihashOfKey(key)))
      yield { cid, bytes: this.get(cid, options) }
    }
  }
}
