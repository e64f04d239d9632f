import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageQueue } from '../../../src/bitswap/client/message-queue.ts'
import { decodeMessage, MessageSplitter, WANT_BLOCK, WANT_HAVE } from '../../../src/bitswap/message.ts'
import { numberedBlock } from '../../support/blocks.ts'
import { until } from '../../support/until.ts'

const CID_1 = numberedBlock(1).cid

function wantsIn(messages: Uint8Array[]) {
  const decoded: { cancel: boolean; wantType: number }[][] = []
  const splitter = new MessageSplitter((length) => new Uint8Array(length))
  for (const message of messages) {
    splitter.push(message, (bytes) => {
      decoded.push(decodeMessage(bytes).wants.map(({ cancel, wantType }) => ({ cancel, wantType })))
    })
  }
  return decoded
}

test('a want that is cancelled before it left is never sent', async (t) => {
  const sent: Uint8Array[] = []
  const queue = new MessageQueue((message) => sent.push(message))
  queue.want(CID_1)
  queue.cancel(CID_1)
  queue.want(numberedBlock(2).cid)
  await until(t, () => sent.length > 0)
  assert.deepEqual(wantsIn(sent), [[{ cancel: false, wantType: WANT_BLOCK }]])
})

test('a want after a cancel of the same block leaves after it', async (t) => {
  const sent: Uint8Array[] = []
  const queue = new MessageQueue((message) => sent.push(message))
  queue.cancel(CID_1)
  queue.want(CID_1, WANT_HAVE)
  await until(t, () => sent.length === 2)
  assert.deepEqual(
    wantsIn(sent).map(([entry]) => [entry?.cancel, entry?.wantType]),
    [
      [true, WANT_BLOCK],
      [false, WANT_HAVE],
    ],
  )
})
