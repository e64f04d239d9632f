import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { WANT_BLOCK, type WantEntry } from '../../../src/bitswap/message.ts'
import { Ledger } from '../../../src/bitswap/server/ledger.ts'
import { type BlockKey, blockKey } from '../../../src/dag/cid.ts'
import { numberedBlock } from '../../support/blocks.ts'

const CIDS = Array.from({ length: 12 }, (_, index) => numberedBlock(index).cid)

function want(index: number, priority = 1, cancel = false): WantEntry {
  return { cid: CIDS[index]!, cancel, wantType: WANT_BLOCK, priority, sendDontHave: false }
}

function keyOf(index: number): BlockKey {
  return blockKey(CIDS[index]!)
}

function taken(ledger: Ledger, maxBytes: number): number[] {
  return ledger.takeReady(maxBytes).map(({ key }) => CIDS.findIndex((cid) => blockKey(cid) === key))
}

describe('bitswap ledger', () => {
  test('the most urgent is taken first, among equals the one that was asked for first', () => {
    const ledger = new Ledger()
    ledger.apply([want(0, 1), want(1, 5), want(2, 1), want(3, 9), want(4, 5)], false)
    for (const index of [4, 2, 0, 3, 1]) ledger.located(keyOf(index), 10)
    assert.deepEqual(taken(ledger, 1000), [3, 1, 4, 0, 2])
  })

  test('asking again with another priority moves a want, once it has been looked up again', () => {
    const ledger = new Ledger()
    ledger.apply([want(0, 1), want(1, 2)], false)
    for (const index of [0, 1]) ledger.located(keyOf(index), 10)
    const lookedUpAgain = ledger.apply([want(0, 3)], false)
    assert.deepEqual(
      lookedUpAgain.map(({ key }) => key),
      [keyOf(0)],
    )
    ledger.located(keyOf(0), 10)
    assert.deepEqual(taken(ledger, 1000), [0, 1])
  })

  test('only so many wants are kept: what is not here goes first, then what is less urgent than what comes', () => {
    const ledger = new Ledger()
    const most = 1024
    const entry = (index: number, priority: number): WantEntry => {
      return { cid: numberedBlock(index).cid, cancel: false, wantType: WANT_BLOCK, priority, sendDontHave: false }
    }
    const kept = ledger.apply(
      Array.from({ length: most + 1 }, (_, index) => entry(index, 5)),
      false,
    )
    assert.equal(kept.length, most)
    for (const { key } of kept) ledger.located(key, 10)
    ledger.located(kept[7]!.key, null)
    assert.equal(ledger.apply([entry(2000, 1)], false).length, 1)
    assert.equal(ledger.get(kept[7]!.key), undefined)
    ledger.located(blockKey(numberedBlock(2000).cid), 10)
    assert.equal(ledger.apply([entry(2001, 1)], false).length, 0)
    assert.equal(ledger.apply([entry(2002, 2)], false).length, 1)
    assert.equal(ledger.get(blockKey(numberedBlock(2000).cid)), undefined)
  })

  test('what is ready is counted, through cancels, absence and a new wantlist', () => {
    const ledger = new Ledger()
    ledger.apply([want(0), want(1), want(2)], false)
    for (const index of [0, 1, 2]) ledger.located(keyOf(index), 100)
    assert.equal(ledger.readyBytes, 300)
    ledger.apply([want(0, 1, true)], false)
    ledger.located(keyOf(1), null)
    assert.equal(ledger.readyBytes, 100)
    ledger.apply([want(3)], true)
    assert.deepEqual([ledger.readyBytes, ledger.hasReady, ledger.wantCount], [0, false, 1])
  })

  test('a message takes no more than fits, but one block at least', () => {
    const ledger = new Ledger()
    ledger.apply([want(0), want(1), want(2)], false)
    for (const index of [0, 1, 2]) ledger.located(keyOf(index), 100)
    assert.deepEqual(taken(ledger, 250), [0, 1])
    assert.deepEqual(taken(ledger, 50), [2])
    assert.deepEqual(taken(ledger, 50), [])
  })

  test('property: the order and the count are those of a plain sort', () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant('want' as const), index: fc.nat(11), priority: fc.nat(3) }),
      fc.record({ type: fc.constant('cancel' as const), index: fc.nat(11) }),
      fc.record({
        type: fc.constant('located' as const),
        index: fc.nat(11),
        size: fc.option(fc.integer({ min: 1, max: 9 })),
      }),
      fc.record({ type: fc.constant('take' as const), maxBytes: fc.nat(30) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ledger = new Ledger()
        const model = new Map<number, { priority: number; size: number | null | undefined }>()
        const ready = () =>
          [...model].filter(([, { size }]) => typeof size === 'number').sort(([, a], [, b]) => b.priority - a.priority)
        for (const step of steps) {
          switch (step.type) {
            case 'want': {
              ledger.apply([want(step.index, step.priority)], false)
              const known = model.get(step.index)
              if (known === undefined) model.set(step.index, { priority: step.priority, size: undefined })
              else Object.assign(known, { priority: step.priority, size: undefined })
              break
            }
            case 'cancel':
              ledger.apply([want(step.index, 1, true)], false)
              model.delete(step.index)
              break
            case 'located': {
              ledger.located(keyOf(step.index), step.size)
              const known = model.get(step.index)
              if (known !== undefined) known.size = step.size
              break
            }
            case 'take': {
              const expected: number[] = []
              let bytes = 0
              for (const [index, { size }] of ready()) {
                bytes += size ?? 0
                if (expected.length > 0 && bytes > step.maxBytes) break
                expected.push(index)
                model.delete(index)
              }
              assert.deepEqual(taken(ledger, step.maxBytes), expected)
            }
          }
          assert.equal(
            ledger.readyBytes,
            ready().reduce((sum, [, { size }]) => sum + (size ?? 0), 0),
          )
        }
      }),
    )
  })
})
