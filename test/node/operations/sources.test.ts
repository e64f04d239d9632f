import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { CID } from 'multiformats/cid'
import type { ProgressEvent } from '../../../src/common/progress.ts'
import { HOUR_MS, SECOND_MS } from '../../../src/common/units.ts'
import type { Session } from '../../../src/exchange/exchange.ts'
import { Sources } from '../../../src/node/operations/sources.ts'
import type { Provider, Routing } from '../../../src/routing/routing.ts'

const ROOT = CID.parse('bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e')

/** A routing in which nobody takes a record, as that of a node which does not listen. */
class DeafRouting implements Routing {
  askedAtMs: number[] = []
  nowMs = 0

  async *findProviders(): AsyncGenerator<Provider> {}

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

/** A routing that names so many providers at the first search, and nobody later. */
class NamingRouting extends DeafRouting {
  #names: string[]

  constructor(names: string[]) {
    super()
    this.#names = names
  }

  override async *findProviders(): AsyncGenerator<Provider> {
    for (const peerId of this.#names.splice(0)) yield { peerId, multiaddrs: [], via: 'wan-dht' }
  }
}

test('what is found and cannot be reached is told in few lines, and why nothing comes; a named peer in full', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const dead = ['one', 'two', 'three']
  const routing = new NamingRouting([...dead, 'alive'])
  const ended = new AbortController()
  const notes: ProgressEvent[] = []
  const sources = new Sources({
    root: ROOT,
    named: [{ peerId: 'friend', multiaddrs: [] }],
    routing,
    isolated: false,
    ownPeerId: 'own',
    signal: ended.signal,
    onProgress: (event) => notes.push(event),
  })
  const connected: string[] = []
  const session = {
    addSource: () => {},
    get livePeers() {
      return connected.length
    },
    stats: () => ({ peers: connected.map((peerId) => ({ peerId, connected: true })) }),
  }
  sources.start(session as unknown as Session)
  await routing.pass(t, SECOND_MS)
  const lose = (peerId: string) =>
    sources.onSessionEvent({ type: 'peer-unreachable', peerId, multiaddrs: [], reason: `Cannot connect to ${peerId}` })
  const shown = () => notes.splice(0).flatMap((event) => ('isDetail' in event && event.isDetail ? [] : [event]))
  const texts = () => shown().map((event) => ('message' in event ? event.message : event.type))
  assert.deepEqual(texts(), ['Found 4 providers; --verbose names what is found.'])

  lose('friend')
  assert.deepEqual(texts(), ['Cannot connect to friend'])
  connected.push('alive')
  for (const peerId of dead) lose(peerId)
  assert.equal(notes.length, 4, 'all is there for those who want it')
  assert.deepEqual(texts(), ['3 of 4 providers cannot be reached; --verbose says why.'])

  connected.pop()
  lose('alive')
  lose('alive')
  assert.deepEqual(texts(), ['No provider can be reached, of 4 that were found. Cannot connect to alive'])
  ended.abort()
})
