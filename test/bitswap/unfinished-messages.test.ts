import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UnfinishedMessages } from '../../src/bitswap/unfinished-messages.ts'
import { MiB } from '../../src/common/units.ts'

class FakeStream {
  aborted = false
  abort(): void {
    this.aborted = true
  }
}

/** Begins so many messages of 4 MiB, each on a stream of its own. */
function begin(messages: UnfinishedMessages, peerId: string, count: number): FakeStream[] {
  return Array.from({ length: count }, () => {
    const stream = new FakeStream()
    messages.begin(peerId, stream, 4 * MiB)
    return stream
  })
}

const aborted = (streams: FakeStream[]) => streams.filter((stream) => stream.aborted).length

test('a peer may begin 64 MiB of messages; with more it loses them all', () => {
  const messages = new UnfinishedMessages()
  const streams = begin(messages, 'a', 16)
  assert.equal(aborted(streams), 0)
  assert.equal(aborted([...streams, ...begin(messages, 'a', 1)]), 17)
  assert.equal(aborted(begin(messages, 'a', 16)), 0, 'what was lost does not count any more')
})

test('messages that were finished, and streams that were closed, do not count', () => {
  const messages = new UnfinishedMessages()
  for (let round = 0; round < 100; round++) {
    const streams = begin(messages, 'a', 16)
    assert.equal(aborted(streams), 0)
    for (const stream of streams) {
      messages.end('a', stream)
      messages.end('a', stream)
    }
  }
})

test('when all peers together have begun too much, the one with most loses', () => {
  const messages = new UnfinishedMessages()
  const small = ['a', 'b', 'c', 'd'].map((peerId) => begin(messages, peerId, 8))
  const large = begin(messages, 'e', 15)
  const next = begin(messages, 'f', 2)
  assert.deepEqual([...small, large, next].map(aborted), [0, 0, 0, 0, 15, 0])
})
