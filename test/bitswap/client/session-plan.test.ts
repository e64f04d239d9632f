import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SessionPlan } from '../../../src/bitswap/client/session-plan.ts'
import { MiB } from '../../../src/common/units.ts'
import { blockKey } from '../../../src/dag/cid.ts'
import { numberedBlock } from '../../support/blocks.ts'

const cidOf = (index: number) => numberedBlock(index).cid
const keyOf = (index: number) => blockKey(cidOf(index))

function wants(plan: SessionPlan, now: number): string[] {
  return plan.next(now).map(({ type, peerId, cid }) => `${type} ${peerId} ${cid}`)
}

function planOf(peers: string[], blocks: number, bytes = MiB): SessionPlan {
  const plan = new SessionPlan('me')
  for (const peer of peers) plan.addPeer(peer, 0)
  for (let index = 0; index < blocks; index++) plan.want(cidOf(index), bytes)
  return plan
}

describe('session plan', () => {
  test('every block is asked of one peer, and a new peer of no more than two', () => {
    const plan = planOf(['a', 'b', 'c'], 20)
    const actions = plan.next(0)
    assert.equal(new Set(actions.map(({ cid }) => cid.toString())).size, actions.length)
    for (const peer of ['a', 'b', 'c']) assert.equal(actions.filter(({ peerId }) => peerId === peer).length, 2)
  })

  test('a peer that delivers is asked for more, up to its rate', () => {
    const plan = planOf(['a'], 100)
    plan.next(0)
    assert.equal(plan.received('a', keyOf(0), MiB, 100), 'wanted')
    const more = plan.next(100)
    assert.ok(more.length > 2, `${more.length}`)
    assert.ok(plan.outstandingBytesOf('a') <= 16 * MiB)
  })

  test('a faster peer gets the larger part', () => {
    const plan = planOf(['fast', 'slow'], 400)
    const rateOf = { fast: 40, slow: 4 }
    const queues: Record<string, { key: string; cid: string }[]> = { fast: [], slow: [] }
    const given = { fast: 0, slow: 0 }
    const budget = { fast: 0, slow: 0 }
    for (let now = 0; now < 60_000 && plan.wantCount > 0; now += 25) {
      for (const { type, peerId, cid } of plan.next(now)) {
        const queue = queues[peerId]!
        if (type === 'want') queue.push({ key: blockKey(cid), cid: cid.toString() })
        else queues[peerId] = queue.filter((item) => item.cid !== cid.toString())
      }
      for (const peer of ['fast', 'slow'] as const) {
        budget[peer] += (rateOf[peer] * MiB * 25) / 1000
        while (queues[peer]!.length > 0 && budget[peer] >= MiB) {
          budget[peer] -= MiB
          given[peer]++
          plan.received(peer, queues[peer]!.shift()!.key, MiB, now)
        }
        if (queues[peer]!.length === 0) budget[peer] = 0
      }
    }
    assert.equal(plan.wantCount, 0)
    assert.ok(given.fast > 6 * given.slow && given.slow > 0, JSON.stringify(given))
  })

  test('a block that a peer lacks is asked of another, and not of the same one at once', () => {
    const plan = planOf(['a', 'b'], 1)
    const [first] = plan.next(0)
    plan.dontHave(first!.peerId, keyOf(0), 10)
    const second = plan.next(10).find(({ type }) => type === 'want')
    assert.notEqual(second!.peerId, first!.peerId)
    plan.dontHave(second!.peerId, keyOf(0), 20)
    assert.deepEqual(
      plan.next(20).filter(({ type }) => type === 'want'),
      [],
    )
    assert.deepEqual(plan.lostWants().map(String), [cidOf(0).toString()])
    assert.deepEqual(plan.lostWants(), [], 'told once')
  })

  test('a block that nobody had is asked for again after a while', () => {
    const plan = planOf(['a'], 1)
    plan.next(0)
    plan.dontHave('a', keyOf(0), 0)
    assert.deepEqual(wants(plan, 4000), [`cancel a ${cidOf(0)}`, `probe a ${cidOf(0)}`])
    assert.deepEqual(wants(plan, 6000), [`want a ${cidOf(0)}`])
  })

  test('what a lost peer was asked for goes to the others first', () => {
    const plan = planOf(['a', 'b'], 4)
    const before = plan.next(0)
    const lost = before.filter(({ peerId }) => peerId === 'a').map(({ cid }) => cid.toString())
    for (const { peerId, cid } of before) if (peerId === 'b') plan.received('b', blockKey(cid), MiB, 50)
    plan.removePeer('a')
    const after = plan.next(60)
    assert.deepEqual(
      after.map(({ peerId, cid }) => `${peerId} ${cid}`).toSorted(),
      lost.map((cid) => `b ${cid}`).toSorted(),
    )
  })

  test('a silent peer loses its blocks to others and is told to forget them', () => {
    const plan = planOf(['a', 'b'], 4)
    plan.next(0)
    plan.heard('b', MiB, 2900)
    const actions = plan.next(3000)
    assert.ok(actions.some(({ type, peerId }) => type === 'cancel' && peerId === 'a'))
    assert.ok(!actions.some(({ type, peerId }) => type === 'cancel' && peerId === 'b'))
    assert.ok(plan.isStalled('a'))
  })

  test('bytes on their way are a sign of life', () => {
    const plan = planOf(['a', 'b'], 2)
    plan.next(0)
    for (let now = 0; now <= 10_000; now += 500) {
      plan.heard('a', MiB, now)
      plan.heard('b', MiB, now)
      assert.ok(!plan.next(now).some(({ type }) => type === 'cancel'))
    }
  })

  test('the only peer is not given up: it is asked again', () => {
    const plan = planOf(['a'], 1)
    plan.next(0)
    assert.deepEqual(wants(plan, 5000), [])
    assert.deepEqual(wants(plan, 10_001), [`want a ${cidOf(0)}`])
  })

  test('at the end an idle fast peer takes over what a slow one holds', () => {
    const plan = planOf(['fast', 'slow'], 4)
    const asked = plan.next(0)
    for (const { peerId, cid } of asked.filter(({ peerId }) => peerId === 'fast'))
      plan.received(peerId, blockKey(cid), MiB, 20)
    const slow = asked.filter(({ peerId }) => peerId === 'slow')
    plan.received('slow', blockKey(slow[0]!.cid), MiB, 2000)
    plan.heard('slow', MiB, 2000)
    const actions = plan.next(2000)
    assert.deepEqual(
      actions.map(({ type, peerId }) => `${type} ${peerId}`),
      ['want fast'],
    )
    assert.equal(plan.received('fast', blockKey(slow[1]!.cid), MiB, 2050), 'wanted')
    assert.deepEqual(wants(plan, 2050), [`cancel slow ${slow[1]!.cid}`])
  })

  test('what a slow peer has not begun to send, an idle fast one is asked for instead, the last first', () => {
    const plan = planOf(['slow'], 6)
    let now = 0
    const queue = plan.next(now).map(({ cid }) => cid)
    // So early it is asked for more with each block.
    for (let arrived = 0; arrived < 2; arrived++) {
      now += 400
      plan.heard('slow', MiB, now)
      plan.received('slow', blockKey(queue.shift()!), MiB, now)
      queue.push(...plan.next(now).map(({ cid }) => cid))
    }
    assert.equal(queue.length, 4, 'every block is assigned')
    plan.addPeer('fast', now)
    plan.want(cidOf(6), MiB)
    const [first] = plan.next(now)
    assert.equal(first?.peerId, 'fast')
    now += 50
    plan.received('fast', keyOf(6), MiB, now)
    assert.deepEqual(wants(plan, now), [`cancel slow ${queue.at(-1)}`, `want fast ${queue.at(-1)}`])
  })

  test('a small download is not duplicated between peers that are equally fast', () => {
    const plan = planOf(['a', 'b', 'c'], 48)
    const queues = new Map([
      ['a', [] as string[]],
      ['b', []],
      ['c', []],
    ])
    let asked = 0
    for (let now = 0; plan.wantCount > 0; now += 50) {
      for (const { type, peerId, cid } of plan.next(now)) {
        if (type === 'want') queues.get(peerId)!.push(blockKey(cid))
        asked += type === 'want' ? 1 : 0
      }
      for (const [peer, queue] of queues) {
        const key = queue.shift()
        if (key !== undefined) plan.received(peer, key, MiB, now)
      }
    }
    assert.equal(asked, 48)
  })

  test('tells a late block from one that was never asked for', () => {
    const plan = planOf(['a', 'b'], 1)
    const { peerId } = plan.next(0)[0]!
    const other = peerId === 'a' ? 'b' : 'a'
    assert.equal(plan.received(other, keyOf(0), MiB, 10), 'wanted')
    assert.equal(plan.received(peerId, keyOf(0), MiB, 20), 'duplicate')
    assert.equal(plan.received(peerId, keyOf(99), MiB, 30), 'unsolicited')
    assert.equal(plan.received(other, keyOf(0), MiB, 30), 'unsolicited')
  })

  test('a want that is given up is cancelled where it was asked for', () => {
    const plan = planOf(['a'], 1)
    plan.next(0)
    plan.unwant(keyOf(0))
    assert.deepEqual(wants(plan, 10), [`cancel a ${cidOf(0)}`])
    assert.equal(plan.wantCount, 0)
    assert.equal(plan.outstandingBytesOf('a'), 0)
  })

  test('a peer that lacks something is asked what it has, and only for that', () => {
    const plan = planOf(['partial'], 3)
    plan.next(0)
    plan.dontHave('partial', keyOf(0), 10)
    plan.addPeer('complete', 10)
    plan.received('partial', keyOf(1), MiB, 10)
    const actions = wants(plan, 10)
    assert.ok(actions.includes(`probe partial ${cidOf(2)}`) && actions.includes(`want complete ${cidOf(2)}`))
    plan.want(cidOf(3), MiB)
    plan.want(cidOf(4), MiB)
    plan.want(cidOf(5), MiB)
    plan.dontHave('partial', keyOf(5), 20)
    plan.next(20)
    plan.have('partial', keyOf(5))
    assert.deepEqual(wants(plan, 30), [`want partial ${cidOf(5)}`])
  })

  test('a question that stands is taken back when the block has come from another peer', () => {
    const plan = planOf(['partial'], 1)
    plan.next(0)
    plan.dontHave('partial', keyOf(0), 0)
    plan.addPeer('complete', 0)
    plan.next(0)
    plan.received('complete', keyOf(0), MiB, 10)
    assert.deepEqual(wants(plan, 10), [`cancel partial ${cidOf(0)}`])
  })

  test('a partial peer that has 32 blocks in a row is taken to have everything', () => {
    const plan = planOf(['a'], 40, 100)
    plan.next(0)
    plan.dontHave('a', keyOf(0), 0)
    plan.next(0)
    for (let index = 1; index <= 31; index++) plan.have('a', keyOf(index))
    assert.ok(!wants(plan, 10).includes(`want a ${cidOf(35)}`))
    plan.have('a', keyOf(32))
    for (let index = 1; index <= 32; index++) plan.received('a', keyOf(index), 100, 20)
    plan.want(cidOf(40), 100)
    const actions = wants(plan, 30)
    assert.ok(actions.includes(`want a ${cidOf(35)}`), actions.join('\n'))
    assert.ok(!actions.some((action) => action.startsWith('probe')), actions.join('\n'))
  })

  test('a peer that says it has a block and then does not give it is not asked at once again', () => {
    const plan = planOf(['a', 'b'], 1)
    const liar = plan.next(0)[0]!.peerId
    plan.removePeer(liar === 'a' ? 'b' : 'a')
    plan.dontHave(liar, keyOf(0), 10)
    assert.deepEqual(wants(plan, 10), [`cancel ${liar} ${cidOf(0)}`, `probe ${liar} ${cidOf(0)}`])
    plan.have(liar, keyOf(0))
    assert.deepEqual(wants(plan, 20), [`want ${liar} ${cidOf(0)}`])
    plan.dontHave(liar, keyOf(0), 30)
    assert.deepEqual(wants(plan, 30), [`cancel ${liar} ${cidOf(0)}`])
    assert.deepEqual(wants(plan, 4000), [])
    assert.deepEqual(wants(plan, 6000), [`want ${liar} ${cidOf(0)}`])
  })

  test('of what partial peers have the rarest is asked for first', () => {
    const plan = planOf(['a', 'b', 'c'], 6)
    plan.next(0)
    for (const peer of ['a', 'b', 'c']) for (let index = 0; index < 6; index++) plan.dontHave(peer, keyOf(index), 0)
    plan.next(0)
    for (const index of [0, 1, 2, 3]) for (const peer of ['a', 'b']) plan.have(peer, keyOf(index))
    for (const index of [4, 5]) plan.have('a', keyOf(index))
    const asked = plan.next(6000).filter(({ type, peerId }) => type === 'want' && peerId === 'a')
    assert.deepEqual(
      asked.map(({ cid }) => cid.toString()),
      [cidOf(4), cidOf(5)].map(String),
    )
  })

  test('no peer ever has more than 1,024 wants', () => {
    const plan = planOf(['a'], 5000, 100)
    plan.next(0)
    let asked = 2
    for (let index = 0; index < 50; index++) {
      plan.received('a', keyOf(index), 100, index + 1)
      asked += plan.next(index + 1).length - 1
    }
    assert.ok(asked <= 1024, `${asked}`)
    assert.ok(asked > 500, `${asked}`)
  })
})
