import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { HOUR_MS, SECOND_MS } from '../../../src/common/units.ts'
import { Sources } from '../../../src/node/operations/sources.ts'
import type { Routing } from '../../../src/routing/routing.ts'

const ROOT = CID.parse('bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e')

/** A routing in which nobody takes a record, as that of a node which does not listen. */
class DeafRouting implements Routing {
  askedAtMs: number[] = []
  nowMs = 0

  async *findProviders() {}

  async provide() {
    this.askedAtMs.push(this.nowMs)
    return { peers: 0, again: 'later' } as const
  }

  onFirstPeer() {
    return () => {}
  }

  /** Lets time pass, with what falls due in it. */
  async pass(t: TestContext, ms: number): Promise<void> {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      for (let turn = 0; turn < 10; turn++) await Promise.resolve()
      this.nowMs += SECOND_MS
      t.mock.timers.tick(SECOND_MS)
    }
  }
}

test('a download that nobody hears of is announced ever less often, but not given up', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const routing = new DeafRouting()
  const ended = new AbortController()
  const sources = new Sources({
    root: ROOT,
    named: [],
    routing,
    isolated: false,
    ownPeerId: 'own',
    signal: ended.signal,
    onProgress: () => {},
  })
  sources.announce()
  await routing.pass(t, HOUR_MS)
  assert.deepEqual(
    routing.askedAtMs.slice(0, 8).map((ms) => ms / SECOND_MS),
    [0, 1, 3, 7, 15, 31, 63, 123],
  )
  assert.equal(routing.askedAtMs.length, 65)
  ended.abort()
})
