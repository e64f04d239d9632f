import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Told } from '../../src/rpc/told.ts'

/** Those of the events that are new. */
function newOf(told: Told, events: string[]): string[] {
  return events.filter((event) => told.isNew(() => event))
}

test('each is told as often as it comes up in one go, whoever tells it', () => {
  const told = new Told()
  told.startOver({ isLast: false })
  assert.deepEqual(newOf(told, ['a', 'b', 'a']), ['a', 'b', 'a'])
  told.startOver({ isLast: false })
  assert.deepEqual(newOf(told, ['a', 'c']), ['c'])
  told.startOver({ isLast: true })
  assert.deepEqual(newOf(told, ['a', 'a', 'a', 'b', 'c', 'd', 'd']), ['a', 'd', 'd'])
})

test('nothing is remembered where nobody can have to go on', () => {
  const told = new Told()
  told.startOver({ isLast: true })
  assert.equal(
    told.isNew(() => assert.fail('nobody asks what it says')),
    true,
  )
})
