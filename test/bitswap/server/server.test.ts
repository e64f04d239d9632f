import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { decodeMessage, type Message, MessageSplitter, WANT_BLOCK, WANT_HAVE } from '../../../src/bitswap/message.ts'
import { Server } from '../../../src/bitswap/server/server.ts'
import { P2PError } from '../../../src/common/errors.ts'
import { blockKey } from '../../../src/dag/cid.ts'
import { numberedBlock } from '../../support/blocks.ts'
import { MemoryBlockStore } from '../../support/memory-blockstore.ts'
import { until } from '../../support/until.ts'

/** A store on a disk that cannot be read in places. */
class FailingStore extends MemoryBlockStore {
  readonly unreadable = new Set<string>()
  readonly unfindable = new Set<string>()

  override async size(cid: CID): Promise<number | undefined> {
    if (this.unfindable.has(blockKey(cid))) throw new P2PError('io', 'EIO')
    return await super.size(cid)
  }

  override async get(cid: CID): Promise<Uint8Array | undefined> {
    if (this.unreadable.has(blockKey(cid))) throw new P2PError('io', 'EIO')
    return await super.get(cid)
  }
}

function wantsOf(cids: CID[], wantType: typeof WANT_BLOCK | typeof WANT_HAVE): Message {
  const wants = cids.map((cid) => ({ cid, cancel: false, wantType, priority: 1, sendDontHave: true }))
  return { wants, full: false, blocks: [], presences: [], pendingBytes: 0 }
}

function makeServer(store: FailingStore) {
  const errors: string[] = []
  const replies: Message[] = []
  const send = async (_peerId: string, pieces: Uint8Array[]) => {
    new MessageSplitter().push(Buffer.concat(pieces), (bytes) => replies.push(decodeMessage(bytes)))
  }
  const server = new Server({ blockstore: store, send, onError: (message) => errors.push(message) })
  return { server, errors, replies }
}

const presencesIn = (replies: Message[]) =>
  replies.flatMap(({ presences }) => presences.map(({ cid, have }) => [cid.toString(), have]))

test('a block that cannot be looked up or read is told to the operator, and not denied to the peer', async (t) => {
  const [unfindable, unreadable, good, absent] = [1, 2, 3, 4].map((index) => numberedBlock(index, 2000))
  const store = new FailingStore()
  for (const { cid, bytes } of [unfindable!, unreadable!, good!]) await store.put(cid, bytes)
  store.unfindable.add(blockKey(unfindable!.cid))
  store.unreadable.add(blockKey(unreadable!.cid))
  const { server, errors, replies } = makeServer(store)
  const cids = [unfindable!, unreadable!, good!, absent!].map(({ cid }) => cid)

  server.receive('peer', wantsOf(cids, WANT_BLOCK))
  const blocksIn = () => replies.flatMap(({ blocks }) => blocks)
  await until(t, () => errors.length === 2 && blocksIn().length === 1 && presencesIn(replies).length === 1)
  assert.deepEqual(Buffer.from(blocksIn()[0]!.bytes), Buffer.from(good!.bytes))
  assert.deepEqual(presencesIn(replies), [[absent!.cid.toString(), false]])
  assert.match(errors[0]!, new RegExp(`look up ${unfindable!.cid}: EIO`))
  assert.match(errors[1]!, new RegExp(`read ${unreadable!.cid}: EIO`))

  replies.length = 0
  server.receive('peer', wantsOf(cids, WANT_HAVE))
  await until(t, () => presencesIn(replies).length > 0)
  assert.deepEqual(
    presencesIn(replies).toSorted(),
    [
      [unreadable!.cid.toString(), true],
      [good!.cid.toString(), true],
      [absent!.cid.toString(), false],
    ].toSorted(),
  )
})
