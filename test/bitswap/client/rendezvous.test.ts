import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seedOf, turnOf } from '../../../src/bitswap/client/rendezvous.ts'

test('peers that work it out alone come to the same order, and have their turns alike often', () => {
  const peers = ['12D3KooWa', '12D3KooWb', '12D3KooWc', '12D3KooWd'].map(seedOf)
  const firstTurns = peers.map(() => 0)
  for (let block = 0; block < 1000; block++) {
    const turns = peers.map((own) => {
      const others = peers.filter((other) => other !== own)
      return turnOf(own, others, seedOf(`block ${block}`))
    })
    assert.deepEqual(turns.toSorted(), [0, 1, 2, 3])
    firstTurns[turns.indexOf(0)]!++
  }
  for (const count of firstTurns) assert.ok(count > 150 && count < 350, `${firstTurns}`)
})
