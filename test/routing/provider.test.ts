import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import type { Clock } from '../../src/common/clock.ts'
import { HOUR_MS, MINUTE_MS } from '../../src/common/units.ts'
import { Provider } from '../../src/routing/provider.ts'
import type { ProvideResult, Routing } from '../../src/routing/routing.ts'

async function cidOf(text: string): Promise<CID> {
  return CID.createV1(raw.code, await sha256.digest(new TextEncoder().encode(text)))
}

class FakeClock implements Clock {
  monotonic = 1000
  wall = 1_000_000
  monotonicMs = () => this.monotonic
  wallMs = () => this.wall
}

class FakeRouting implements Routing {
  readonly asked: string[] = []
  atOnce = 0
  mostAtOnce = 0
  answer: () => ProvideResult | Promise<ProvideResult> = () => ({ peers: 3, again: 'before-expiry' })
  #listeners = new Set<() => void>()

  async *findProviders() {}

  async provide(cid: CID): Promise<ProvideResult> {
    this.asked.push(cid.toString())
    this.atOnce++
    this.mostAtOnce = Math.max(this.mostAtOnce, this.atOnce)
    try {
      await new Promise(setImmediate)
      return await this.answer()
    } finally {
      this.atOnce--
    }
  }

  onFirstPeer(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  gainFirstPeer(): void {
    for (const listener of this.#listeners) listener()
  }
}

interface Bench {
  provider: Provider
  routing: FakeRouting
  clock: FakeClock
  roots: CID[]
  announced: { cid: string; peers: number }[]
  errors: unknown[]
  /** Lets the clocks be looked at. */
  check(): void
  /** Resolves once so many announcements have been made since the start. */
  untilAnnounced(count: number): Promise<void>
  /** Resolves once nothing is left to do that does not wait for a clock or a peer. */
  settle(): Promise<void>
}

function bench(roots: CID[], rootsFailure?: () => unknown): Bench {
  const routing = new FakeRouting()
  const clock = new FakeClock()
  const events = new EventEmitter()
  const announced: Bench['announced'] = []
  const errors: unknown[] = []
  let check = () => {}
  const provider = new Provider({
    roots: async function* () {
      const failure = rootsFailure?.()
      if (failure !== undefined) throw failure
      yield* roots
    },
    routing,
    clock,
    every: (_ms, callback) => {
      check = callback
      return () => {
        check = () => {}
      }
    },
    onAnnounced: ({ cid, peers }) => {
      announced.push({ cid: cid.toString(), peers })
      events.emit('announced')
    },
    onError: (error) => {
      errors.push(error)
      events.emit('announced')
    },
  })
  return {
    provider,
    routing,
    clock,
    roots,
    announced,
    errors,
    check: () => check(),
    async untilAnnounced(count) {
      while (announced.length < count) await once(events, 'announced')
    },
    async settle() {
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    },
  }
}

test('all roots are announced at the start, and each new one at once', async () => {
  const roots = await Promise.all(['a', 'b', 'c'].map(cidOf))
  const { provider, untilAnnounced, announced } = bench(roots)
  provider.start()
  await untilAnnounced(3)
  const added = await cidOf('added')
  provider.announce(added)
  await untilAnnounced(4)
  assert.deepEqual(
    announced,
    [...roots, added].map((cid) => ({ cid: cid.toString(), peers: 3 })),
  )
  await provider.stop()
})

test('no more than eight announcements are under way at a time', async () => {
  const roots = await Promise.all(Array.from({ length: 40 }, (_, index) => cidOf(`root ${index}`)))
  const { provider, routing, untilAnnounced } = bench(roots)
  provider.start()
  for (const cid of await Promise.all(Array.from({ length: 40 }, (_, index) => cidOf(`new ${index}`)))) {
    provider.announce(cid)
  }
  await untilAnnounced(80)
  assert.equal(new Set(routing.asked).size, 80)
  assert.equal(routing.mostAtOnce, 8)
  await provider.stop()
})

test('more new roots than can wait are announced by another round', async () => {
  const roots: CID[] = []
  const { provider, routing, settle } = bench(roots)
  provider.start()
  await settle()
  const added = await Promise.all(Array.from({ length: 1100 }, (_, index) => cidOf(`new ${index}`)))
  roots.push(...added)
  for (const cid of added) provider.announce(cid)
  while (new Set(routing.asked).size < 1100) await settle()
  await provider.stop()
})

const clockCases: { name: string; monotonic: number; wall: number; renewed: boolean }[] = [
  { name: 'not after 21 hours', monotonic: 21 * HOUR_MS, wall: 21 * HOUR_MS, renewed: false },
  { name: 'after 22 hours', monotonic: 22 * HOUR_MS, wall: 22 * HOUR_MS, renewed: true },
  { name: 'after 22 hours asleep', monotonic: MINUTE_MS, wall: 22 * HOUR_MS, renewed: true },
  {
    name: 'after 22 hours with the clock set back by two days',
    monotonic: 22 * HOUR_MS,
    wall: -26 * HOUR_MS,
    renewed: true,
  },
  { name: 'when the clock was set forward by a year', monotonic: MINUTE_MS, wall: 365 * 24 * HOUR_MS, renewed: true },
]
for (const { name, monotonic, wall, renewed } of clockCases) {
  test(`the roots are renewed: ${name}`, async () => {
    const { provider, clock, check, untilAnnounced, announced, settle } = bench([await cidOf('root')])
    provider.start()
    await untilAnnounced(1)
    await settle()
    clock.monotonic += monotonic
    clock.wall += wall
    check()
    await settle()
    assert.equal(announced.length, renewed ? 2 : 1)
    check()
    await settle()
    assert.equal(announced.length, renewed ? 2 : 1, 'once is enough')
    await provider.stop()
  })
}

test('what was told to nobody is told again when the first peer comes', async () => {
  const { provider, routing, untilAnnounced, announced, settle } = bench([await cidOf('root')])
  routing.answer = () => ({ peers: 0, again: 'first-peer' })
  provider.start()
  await untilAnnounced(1)
  await settle()
  routing.answer = () => ({ peers: 2, again: 'before-expiry' })
  routing.gainFirstPeer()
  await untilAnnounced(2)
  await settle()
  routing.gainFirstPeer()
  await settle()
  assert.deepEqual(
    announced.map(({ peers }) => peers),
    [0, 2],
  )
  await provider.stop()
})

test('a first peer that comes during the announcement is not missed', async () => {
  const { provider, routing, untilAnnounced, announced, settle } = bench([await cidOf('root')])
  routing.answer = () => {
    routing.answer = () => ({ peers: 1, again: 'before-expiry' })
    routing.gainFirstPeer()
    return { peers: 0, again: 'first-peer' }
  }
  provider.start()
  await untilAnnounced(2)
  await settle()
  assert.deepEqual(
    announced.map(({ peers }) => peers),
    [0, 1],
  )
  await provider.stop()
})

test('an announcement that failed is tried again after ten minutes', async () => {
  const { provider, routing, clock, check, untilAnnounced, announced, errors, settle } = bench([await cidOf('root')])
  const failure = new Error('no route')
  routing.answer = () => Promise.reject(failure)
  provider.start()
  await untilAnnounced(1)
  await settle()
  routing.answer = () => ({ peers: 1, again: 'before-expiry' })
  clock.monotonic += 9 * MINUTE_MS
  check()
  await settle()
  assert.equal(announced.length, 1)
  clock.monotonic += MINUTE_MS
  check()
  await untilAnnounced(2)
  assert.deepEqual(
    announced.map(({ peers }) => peers),
    [0, 1],
  )
  assert.deepEqual(errors, [failure])
  await provider.stop()
})

test('roots that cannot be read are read again after ten minutes', async () => {
  let failure: unknown = new Error('EIO')
  const { provider, clock, check, untilAnnounced, errors, settle } = bench([await cidOf('root')], () => failure)
  provider.start()
  await settle()
  assert.deepEqual(errors, [failure])
  failure = undefined
  clock.wall += 10 * MINUTE_MS
  check()
  await untilAnnounced(1)
  await provider.stop()
})

test('stop waits for what is under way and starts nothing more', async () => {
  const roots = await Promise.all(Array.from({ length: 20 }, (_, index) => cidOf(`root ${index}`)))
  const { provider, routing, announced, check, settle, clock } = bench(roots)
  provider.start()
  await new Promise(setImmediate)
  await provider.stop()
  assert.equal(routing.atOnce, 0)
  const asked = routing.asked.length
  assert.ok(asked <= 9, `${asked} were asked for`)
  const told = announced.length
  clock.monotonic += 50 * HOUR_MS
  check()
  routing.gainFirstPeer()
  provider.announce(roots[0]!)
  await settle()
  assert.equal(routing.asked.length, asked)
  assert.equal(announced.length, told)
})

test('it tells how each root was announced, and when all of them are again', async () => {
  const [kept, dropped, other] = await Promise.all(['kept', 'dropped', 'other'].map(cidOf))
  const { provider, routing, clock, roots, check, untilAnnounced, settle } = bench([kept!, dropped!])
  provider.start()
  await untilAnnounced(2)
  await settle()
  assert.deepEqual({ ...provider.announcementOf(kept!), round: 1 }, { peers: 3, atMs: 1_000_000, round: 1 })
  assert.equal(provider.announcementOf(other!), undefined)
  assert.equal(provider.nextRoundAtMs(), 1_000_000 + 22 * HOUR_MS)

  roots.pop()
  routing.answer = () => ({ peers: 0, again: 'later' })
  clock.wall += 22 * HOUR_MS
  check()
  await untilAnnounced(3)
  await settle()
  assert.equal(provider.announcementOf(kept!)?.peers, 0)
  assert.equal(provider.announcementOf(dropped!), undefined)
  assert.equal(provider.nextRoundAtMs(), clock.wall + 10 * MINUTE_MS)
  await provider.stop()
})
