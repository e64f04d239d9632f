import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { MessageQueue } from '../../../src/bitswap/client/message-queue.ts'
import { BitswapSession, type SessionHost } from '../../../src/bitswap/client/session.ts'
import { WANT_BLOCK, WANT_HAVE, type WantEntry } from '../../../src/bitswap/message.ts'
import { P2PError } from '../../../src/common/errors.ts'
import { SECOND_MS } from '../../../src/common/units.ts'
import type { Block } from '../../../src/dag/block.ts'
import { blockKey } from '../../../src/dag/cid.ts'
import type { SessionEvent } from '../../../src/exchange/exchange.ts'
import { randomBlock } from '../../support/blocks.ts'

/** A bitswap node that only dials: in time that the test lets pass. */
class DiallingHost implements SessionHost {
  readonly peerId = 'self'
  nowMs = 0
  isReachable = false
  readonly dialledAt: number[] = []
  readonly clock = { monotonicMs: () => this.nowMs, wallMs: () => this.nowMs }

  async connect(): Promise<void> {
    this.dialledAt.push(this.nowMs)
    if (!this.isReachable) throw new P2PError('network', 'refused')
  }

  describe() {
    return this.isReachable ? { multiaddr: '/ip4/127.0.0.1/tcp/1/p2p/peer', rttMs: 1 } : undefined
  }

  costs = () => ({ hashMs: 0, limitMs: 0 })
  connectedPeers = () => []
  pathOf = () => 'loopback' as const
  queueTo = () => new MessageQueue(() => {})
  wantedElsewhere = () => false
  release() {}
  keep() {}
  closed() {}

  /** Lets time pass, with what falls due in it. */
  async pass(t: TestContext, ms: number): Promise<void> {
    for (const end = this.nowMs + ms; this.nowMs < end; this.nowMs += 100) {
      t.mock.timers.tick(100)
      for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    }
  }
}

test('a source is dialled again, ever less often, until it is there, and at once when it is lost', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const host = new DiallingHost()
  const events: SessionEvent['type'][] = []
  const session = new BitswapSession(host, { onEvent: ({ type }) => events.push(type) })
  session.addSource({ peerId: 'peer', multiaddrs: ['/ip4/127.0.0.1/tcp/1/p2p/peer'] })

  await host.pass(t, 10 * SECOND_MS)
  const early = host.dialledAt.length
  // Waits of 1, 2, 4 and 8 seconds, each between half and one and a half of it.
  assert.ok(early >= 3 && early <= 6, `dialled at ${host.dialledAt}`)
  await host.pass(t, 120 * SECOND_MS)
  const late = host.dialledAt.length - early
  // Never further apart than 15 seconds and a half of it, nor closer than half of it.
  assert.ok(late >= 5 && late <= 17, `dialled at ${host.dialledAt}`)

  host.isReachable = true
  await host.pass(t, 23 * SECOND_MS)
  assert.equal(session.livePeers, 1)
  const whenJoined = host.dialledAt.length
  await host.pass(t, 60 * SECOND_MS)
  assert.equal(host.dialledAt.length, whenJoined, 'a source that is connected is left alone')

  host.isReachable = false
  session.onPeerDisconnected('peer')
  assert.equal(host.dialledAt.length, whenJoined + 1)
  assert.equal(session.livePeers, 0)
  await session.close()
  await host.pass(t, 60 * SECOND_MS)
  assert.equal(host.dialledAt.length, whenJoined + 1, 'a session that is closed dials nobody')
  assert.deepEqual(
    events.filter((type) => type !== 'peer-unreachable'),
    ['peer-connected', 'peer-gone'],
  )
})

test('strangers that come and go take no source its place, and are not dialled', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const host = new DiallingHost()
  host.isReachable = true
  const events: SessionEvent['type'][] = []
  const session = new BitswapSession(host, { onEvent: ({ type }) => events.push(type) })
  const { cid } = randomBlock('wanted', 10)
  session.fetch(cid).catch(() => {})
  const wants: WantEntry[] = [{ cid, cancel: false, wantType: WANT_BLOCK, priority: 1, sendDontHave: true }]
  const comeAndGo = (peerId: string) => {
    session.onWants(peerId, wants)
    session.onPeerDisconnected(peerId)
  }
  for (let index = 0; index < 300; index++) comeAndGo(`gone ${index}`)
  assert.deepEqual(session.stats().peers, [])
  for (let index = 0; index < 300; index++) session.onWants(`here ${index}`, wants)
  assert.equal(session.livePeers, 256)
  session.addSource({ peerId: 'named', multiaddrs: ['/ip4/127.0.0.1/tcp/1/p2p/named'] })
  await host.pass(t, SECOND_MS)
  assert.ok(session.stats().peers.some(({ peerId, connected }) => peerId === 'named' && connected))
  assert.equal(host.dialledAt.length, 1)
  assert.ok(!events.includes('peer-gone'))
  await session.close()
})

test('a peer is asked what it has without being asked for it, and may send small blocks for an answer', async () => {
  const host = new DiallingHost()
  host.isReachable = true
  const sent: { cid: string; cancel: boolean; wantType: number }[] = []
  const queue = {
    want: (cid: CID, wantType: number) => void sent.push({ cid: cid.toString(), cancel: false, wantType }),
    cancel: (cid: CID) => void sent.push({ cid: cid.toString(), cancel: true, wantType: WANT_HAVE }),
  }
  host.queueTo = () => queue as unknown as MessageQueue
  const events: SessionEvent['type'][] = []
  const session = new BitswapSession(host, { onEvent: ({ type }) => events.push(type) })
  session.addSource({ peerId: 'peer', multiaddrs: ['/ip4/127.0.0.1/tcp/1/p2p/peer'] })
  await new Promise(setImmediate)

  const blocks = ['held', 'small', 'lacking', 'silent'].map((seed) => randomBlock(seed, 100))
  const [held, small, lacking, silent] = blocks as [Block, Block, Block, Block]
  const cids = blocks.map(({ cid }) => cid)
  const patience = new AbortController()
  const counting = session.countHeldBy('peer', cids, { signal: patience.signal })
  assert.deepEqual(
    sent.splice(0),
    cids.map((cid) => ({ cid: cid.toString(), cancel: false, wantType: WANT_HAVE })),
  )
  session.onPresence('peer', blockKey(held.cid), true)
  // Another peer's answer is not this one's.
  session.onPresence('other', blockKey(silent.cid), true)
  session.onPresence('peer', blockKey(lacking.cid), false)
  assert.equal(session.onBlock('peer', blockKey(small.cid), small.bytes), 'duplicate')
  patience.abort()
  assert.equal(await counting, 2)
  assert.deepEqual(
    sent,
    cids.map((cid) => ({ cid: cid.toString(), cancel: true, wantType: WANT_HAVE })),
  )
  // It comes too late, and is no reason to think ill of the peer; what nobody has asked about is.
  assert.equal(session.onBlock('peer', blockKey(silent.cid), silent.bytes), 'duplicate')
  assert.ok(session.hasAskedFor('peer', blockKey(silent.cid)))
  assert.equal(session.onBlock('other', blockKey(silent.cid), silent.bytes), 'unsolicited')
  await session.close()
})
