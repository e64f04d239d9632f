import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CID } from 'multiformats/cid'
import { decodeMessage, type Message, MessageSplitter, WANT_BLOCK, WANT_HAVE } from '../../../src/bitswap/message.ts'
import { Server } from '../../../src/bitswap/server/server.ts'
import { BufferPool } from '../../../src/common/buffer-pool.ts'
import { P2PError } from '../../../src/common/errors.ts'
import { MINUTE_MS, MiB } from '../../../src/common/units.ts'
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

function makeServer(store: MemoryBlockStore) {
  const clock = { nowMs: 0, monotonicMs: () => clock.nowMs, wallMs: () => clock.nowMs }
  const errors: string[] = []
  const replies: Message[] = []
  const send = async (_peerId: string, pieces: Uint8Array[]) => {
    new MessageSplitter().push(Buffer.concat(pieces), (bytes) => replies.push(decodeMessage(bytes)))
  }
  const server = new Server({
    blockstore: store,
    buffers: new BufferPool(0),
    send,
    onError: (message) => errors.push(message),
    clock,
  })
  return { server, errors, replies, clock }
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

test('a block that could not be looked up is given when it is asked for again and can be', async (t) => {
  const { cid, bytes } = numberedBlock(1, 2000)
  const store = new FailingStore()
  await store.put(cid, bytes)
  store.unfindable.add(blockKey(cid))
  const { server, errors, replies } = makeServer(store)
  server.receive('peer', wantsOf([cid], WANT_BLOCK))
  await until(t, () => errors.length === 1)
  store.unfindable.clear()
  server.receive('peer', wantsOf([cid], WANT_BLOCK))
  await until(t, () => replies.some(({ blocks }) => blocks.length === 1))
  assert.deepEqual(presencesIn(replies), [])
})

test('what cannot be looked up or read is told once a minute, however often peers ask', async (t) => {
  const store = new FailingStore()
  const cids = Array.from({ length: 50 }, (_, index) => numberedBlock(index).cid)
  for (const cid of cids) store.unfindable.add(blockKey(cid))
  const absent = numberedBlock(99).cid
  const { server, errors, replies, clock } = makeServer(store)
  for (const [round, { at, told }] of [
    { at: 0, told: 1 },
    { at: MINUTE_MS - 1, told: 1 },
    { at: MINUTE_MS, told: 2 },
  ].entries()) {
    clock.nowMs = at
    // The answer to what is asked last comes after all others were looked up.
    server.receive('peer', { ...wantsOf([...cids, absent], WANT_BLOCK), full: true })
    await until(t, () => presencesIn(replies).length === round + 1)
    assert.equal(errors.length, told)
  }
})

/** A store that answers when it is let. */
class SlowStore extends MemoryBlockStore {
  underWay = 0
  most = 0
  asked = 0
  #open!: () => void
  readonly #gate = new Promise<void>((resolve) => {
    this.#open = resolve
  })

  override async size(cid: CID): Promise<number | undefined> {
    this.asked++
    this.most = Math.max(this.most, ++this.underWay)
    await this.#gate
    this.underWay--
    return await super.size(cid)
  }

  release(): void {
    this.#open()
  }
}

test('a peer that wants and cancels without end has few lookups under way, and none of what it cancelled', async (t) => {
  const store = new SlowStore()
  const { server, replies } = makeServer(store)
  const cidsOf = (round: number) => Array.from({ length: 1024 }, (_, index) => numberedBlock(1024 * round + index).cid)
  for (let round = 0; round < 10; round++) {
    const message = wantsOf(cidsOf(round), WANT_BLOCK)
    const cancels = round === 0 ? [] : wantsOf(cidsOf(round - 1), WANT_BLOCK).wants
    message.wants.unshift(...cancels.map((want) => ({ ...want, cancel: true })))
    server.receive('peer', message)
  }
  assert.equal(store.asked, 32)
  store.release()
  await until(t, () => presencesIn(replies).length === 1024)
  assert.equal(store.most, 32)
  assert.equal(store.asked, 32 + 1024)
  assert.ok(replies.flatMap(({ presences }) => presences).every(({ have }) => !have))
})

/** A server whose peer takes its replies when it is let, or breaks off. */
function makeStalledServer(store: MemoryBlockStore) {
  const waiting: { reply: Message; take: () => void; fail: () => void }[] = []
  const clock = { monotonicMs: () => 0, wallMs: () => 0 }
  const send = (_peerId: string, pieces: Uint8Array[]) =>
    new Promise<void>((resolve, reject) => {
      const fail = () => reject(new P2PError('timeout', 'takes nothing'))
      const keep = (bytes: Uint8Array) => waiting.push({ reply: decodeMessage(bytes), take: resolve, fail })
      new MessageSplitter().push(Buffer.concat(pieces), keep)
    })
  return {
    server: new Server({ blockstore: store, buffers: new BufferPool(0), send, onError: () => {}, clock }),
    waiting,
  }
}

test('presences for a peer that takes nothing are put together, and the oldest are dropped', async (t) => {
  const store = new MemoryBlockStore()
  const { server, waiting } = makeStalledServer(store)
  const rounds = 10
  for (let round = 0; round < rounds; round++) {
    const cids = Array.from({ length: 1024 }, (_, index) => numberedBlock(1024 * round + index).cid)
    server.receive('peer', { ...wantsOf(cids, WANT_HAVE), full: true })
    // The store answers at once: by then the round has been looked up.
    await nextTurn()
  }
  assert.equal(waiting.length, 1)
  waiting[0]!.take()
  await until(t, () => waiting.length === 2)
  const { presences } = waiting[1]!.reply
  assert.equal(presences.length, 4096)
  assert.equal(presences.at(-1)?.cid.toString(), numberedBlock(1024 * rounds - 1).cid.toString())
})

test('a peer that takes nothing is sent nothing more, until it asks again', async (t) => {
  const store = new MemoryBlockStore()
  const blocks = [1, 2, 3, 4].map((index) => numberedBlock(index, MiB))
  for (const { cid, bytes } of blocks) await store.put(cid, bytes)
  const { server, waiting } = makeStalledServer(store)
  const cids = blocks.map(({ cid }) => cid)
  server.receive('peer', wantsOf(cids, WANT_BLOCK))
  await until(t, () => waiting.length === 2)
  for (const { fail } of waiting) fail()
  await nextTurn()
  assert.equal(waiting.length, 2)
  server.receive('peer', wantsOf(cids.slice(3), WANT_BLOCK))
  await until(t, () => waiting.length === 3)
  assert.deepEqual(Buffer.from(waiting[2]!.reply.blocks[0]!.bytes), blocks[3]!.bytes)
  waiting[2]!.take()
  await nextTurn()
  assert.equal(waiting.length, 3)
})
