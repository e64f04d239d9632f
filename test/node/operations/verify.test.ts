import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { P2PError } from '../../../src/common/errors.ts'
import { HOUR_MS, MiB, SECOND_MS } from '../../../src/common/units.ts'
import { linksOf } from '../../../src/dag/links.ts'
import type { Session } from '../../../src/exchange/exchange.ts'
import { verify } from '../../../src/node/operations/verify.ts'
import { makeKeptRepo, streamOf } from '../../pin/kept-repo.ts'
import { randomBytes } from '../../support/bytes.ts'
import { makeNetwork } from './one-peer-network.ts'

/** A pinned file that lacks three leaves, the first two side by side, for which `fetch` of a peer is asked. */
async function makeDamaged(t: TestContext, fetch: (options: { missing: Map<string, Uint8Array> }) => Session['fetch']) {
  const repo = await makeKeptRepo(t)
  const [root] = await repo.add([streamOf('file', randomBytes('content', 4 * MiB))], { maxFileLinks: 2 })
  const missing = new Map<string, Uint8Array>()
  const linksIn = async (cid: CID) => linksOf(cid, (await repo.blocks.get(cid))!)
  const [first, second] = await linksIn(root!)
  for (const cid of [...(await linksIn(first!)), (await linksIn(second!))[0]!]) {
    missing.set(cid.toString(), (await repo.blocks.get(cid))!)
    await repo.blocks.delete(cid)
  }
  const time = { nowMs: 0 }
  const clock = { monotonicMs: () => time.nowMs, wallMs: () => time.nowMs }
  const { network, openSessions } = makeNetwork(fetch({ missing }))
  return { parts: { ...repo, clock, network, repo: { leftovers: async () => [] } }, time, openSessions }
}

test('what is missing is fetched however long it is since the last of it came', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { parts, time, openSessions } = await makeDamaged(t, ({ missing }) => async (cid, options) => {
    options?.signal?.throwIfAborted()
    return missing.get(cid.toString())!
  })
  const sync = t.mock.method(parts.blocks, 'sync')
  let told = 0
  const onEvent = () => {
    assert.ok(sync.mock.callCount() > told++, 'what is told as repaired is durable')
    time.nowMs += HOUR_MS
    t.mock.timers.tick(SECOND_MS)
  }
  const { problems, repaired } = await verify(parts, { repair: true, onEvent })
  assert.deepEqual([problems, repaired], [3, 3])
  assert.equal(openSessions(), 0)
})

test('a peer that does not give a block leaves it missing, a fault of this program ends the repair', async (t) => {
  const refused = await makeDamaged(t, () => async () => {
    throw new P2PError('no-provider', 'Nobody has it')
  })
  assert.equal((await verify(refused.parts, { repair: true })).repaired, 0)
  const broken = await makeDamaged(t, () => async () => {
    throw new TypeError('A defect')
  })
  await assert.rejects(verify(broken.parts, { repair: true }), TypeError)
})
