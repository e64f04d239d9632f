import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { WANT_BLOCK, WANT_HAVE, type WantEntry, type WantType } from '../../../src/bitswap/message.ts'
import { Engine } from '../../../src/bitswap/server/engine.ts'
import { KiB, MiB } from '../../../src/common/units.ts'
import { blockKey } from '../../../src/dag/cid.ts'
import { numberedBlock } from '../../support/blocks.ts'

function want(index: number, wantType: WantType = WANT_BLOCK, priority = 1): WantEntry {
  return { cid: numberedBlock(index).cid, cancel: false, wantType, priority, sendDontHave: true }
}

/** An engine in which `peer` wants these blocks and all of them are here with this size. */
function give(engine: Engine, peer: string, entries: WantEntry[], size: number | null) {
  const { wants } = engine.receive(peer, entries, false)
  return wants.map((ledgerWant) => engine.found(peer, ledgerWant, size))
}

describe('bitswap engine', () => {
  test('the peer with the least on its way is served first', () => {
    const engine = new Engine()
    for (const peer of ['a', 'b', 'c']) give(engine, peer, [want(1), want(2), want(3)], MiB)
    const order = Array.from({ length: 6 }, () => engine.next()?.peerId)
    assert.deepEqual(order, ['a', 'b', 'c', 'a', 'b', 'c'])
    assert.equal(engine.next(), undefined, 'two messages a peer are enough')
  })

  test('small blocks share a message, large ones go alone', () => {
    const engine = new Engine()
    give(
      engine,
      'a',
      Array.from({ length: 300 }, (_, index) => want(index)),
      4 * KiB,
    )
    assert.equal(engine.next()?.wants.length, 256)
    const large = new Engine()
    give(large, 'a', [want(1), want(2)], 2 * MiB)
    assert.equal(large.next()?.wants.length, 1)
  })

  test('over all peers no more than 64 MiB is on its way', () => {
    const engine = new Engine()
    for (let peer = 0; peer < 100; peer++) give(engine, `peer-${peer}`, [want(1), want(2)], MiB)
    let servings = 0
    while (engine.next() !== undefined) servings++
    assert.equal(servings, 64)
  })

  test('what has left makes room again', () => {
    const engine = new Engine()
    give(engine, 'a', [want(1), want(2), want(3)], MiB)
    const first = engine.next()!
    engine.next()
    assert.equal(engine.next(), undefined)
    engine.finished(first, first.bytes, 1)
    assert.equal(engine.next()?.wants.length, 1)
    assert.deepEqual([engine.ledgerOf('a')?.sentBytes, engine.ledgerOf('a')?.sentBlocks], [MiB, 1])
  })

  test('what is asked for while something is on its way shares the next message', () => {
    const engine = new Engine()
    give(engine, 'a', [want(1)], 4 * KiB)
    const first = engine.next()!
    for (let index = 2; index < 10; index++) give(engine, 'a', [want(index)], 4 * KiB)
    assert.equal(engine.next(), undefined)
    engine.finished(first, first.bytes, 1)
    assert.equal(engine.next()?.wants.length, 8)
  })

  test('says at once that a block is not here, and sends it when it comes', () => {
    const engine = new Engine()
    const [presence] = give(engine, 'a', [want(1)], null)
    assert.equal(presence?.have, false)
    assert.equal(engine.next(), undefined)
    engine.blockArrived(blockKey(numberedBlock(1).cid), 100)
    assert.equal(engine.next()?.wants.length, 1)
  })

  test('a peer that asked whether a block is here is told when it comes in', () => {
    const engine = new Engine()
    give(engine, 'a', [want(1, WANT_HAVE)], null)
    give(engine, 'b', [want(1)], null)
    const { cid } = numberedBlock(1)
    const told = engine.blockArrived(blockKey(cid), MiB)
    assert.deepEqual(told, [{ peerId: 'a', presence: { cid, have: true } }])
    assert.equal(engine.next()?.peerId, 'b')
    assert.deepEqual(engine.blockArrived(blockKey(cid), MiB), [], 'told once')
  })

  test('a block that comes in while the store is asked for it is not reported as missing', () => {
    const engine = new Engine()
    const { wants } = engine.receive('a', [want(1)], false)
    engine.blockArrived(wants[0]!.key, MiB)
    assert.equal(engine.found('a', wants[0]!, null), undefined)
    assert.equal(engine.next()?.wants.length, 1)
  })

  test('presence is answered by presence, or by the block itself if it is small', () => {
    const engine = new Engine()
    const [large] = give(engine, 'a', [want(1, WANT_HAVE)], 2 * KiB)
    assert.equal(large?.have, true)
    assert.equal(engine.next(), undefined)
    const [small] = give(engine, 'a', [want(2, WANT_HAVE)], 100)
    assert.equal(small, undefined)
    assert.equal(engine.next()?.wants.length, 1)
  })

  test('a cancelled want is not served, nor one of a peer that has gone', () => {
    const engine = new Engine()
    give(engine, 'a', [want(1)], 100)
    engine.receive('a', [{ ...want(1), cancel: true }], false)
    assert.equal(engine.next(), undefined)
    give(engine, 'a', [want(2)], 100)
    engine.forget('a')
    assert.equal(engine.next(), undefined)
    assert.equal(engine.peerCount, 0)
  })

  test('a full wantlist replaces the one before', () => {
    const engine = new Engine()
    give(engine, 'a', [want(1)], 100)
    const { wants } = engine.receive('a', [want(2)], true)
    for (const ledgerWant of wants) engine.found('a', ledgerWant, 100)
    assert.deepEqual(
      engine.next()?.wants.map(({ cid }) => cid.toString()),
      [numberedBlock(2).cid.toString()],
    )
  })

  test('1,024 wants are kept: what is not here goes first, then what matters least', () => {
    const engine = new Engine()
    give(
      engine,
      'a',
      Array.from({ length: 1000 }, (_, index) => want(index, WANT_BLOCK, 5)),
      100,
    )
    give(
      engine,
      'a',
      Array.from({ length: 24 }, (_, index) => want(1000 + index, WANT_BLOCK, 5)),
      null,
    )
    const ledger = engine.ledgerOf('a')!
    give(engine, 'a', [want(5000, WANT_BLOCK, 1)], 100)
    assert.equal(ledger.wantCount, 1024)
    assert.notEqual(ledger.get(blockKey(numberedBlock(5000).cid)), undefined, 'took the place of an absent one')
    give(
      engine,
      'a',
      Array.from({ length: 23 }, (_, index) => want(6000 + index, WANT_BLOCK, 5)),
      100,
    )
    give(engine, 'a', [want(7000, WANT_BLOCK, 9)], 100)
    assert.equal(ledger.wantCount, 1024)
    assert.equal(ledger.get(blockKey(numberedBlock(5000).cid)), undefined, 'had the lowest priority')
    give(engine, 'a', [want(8000, WANT_BLOCK, 0)], 100)
    assert.equal(ledger.get(blockKey(numberedBlock(8000).cid)), undefined)
  })

  test('more urgent wants are sent first', () => {
    const engine = new Engine()
    give(engine, 'a', [want(1, WANT_BLOCK, 1), want(2, WANT_BLOCK, 9)], 2 * MiB)
    assert.equal(engine.next()?.wants[0]?.cid.toString(), numberedBlock(2).cid.toString())
  })
})
