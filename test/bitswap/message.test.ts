import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import {
  decodeMessage,
  encodeReply,
  encodeWants,
  MAX_MESSAGE_BYTES,
  MessageSplitter,
  WANT_BLOCK,
  WANT_HAVE,
} from '../../src/bitswap/message.ts'
import { hasCode } from '../../src/common/errors.ts'
import { KiB } from '../../src/common/units.ts'
import { numberedBlock } from '../support/blocks.ts'

const HELLO = CID.parse('bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e')

/** One message in one piece, without its length prefix. */
function whole(pieces: Uint8Array[]): Uint8Array {
  const messages: Uint8Array[] = []
  new MessageSplitter().push(Buffer.concat(pieces), (message) => messages.push(message))
  assert.equal(messages.length, 1)
  return messages[0]!
}

describe('bitswap messages', () => {
  test('a want has the bytes that other implementations write', () => {
    const bytes = encodeWants([
      { cid: HELLO, cancel: false, wantType: WANT_HAVE, priority: 7, sendDontHave: true },
      { cid: HELLO, cancel: true, wantType: WANT_BLOCK, priority: 1, sendDontHave: false },
    ])
    const cid = Buffer.from(HELLO.bytes).toString('hex')
    const first = `0a24${cid}100720012801`
    const second = `0a24${cid}10011801`
    assert.equal(Buffer.from(bytes).toString('hex'), `5c0a5a0a2c${first}0a2a${second}`)
  })

  test('blocks, presences and pending bytes come back as they were sent, and large blocks are not copied', () => {
    const blocks = [numberedBlock(1), numberedBlock(2, 50_000)]
    const presences = [
      { cid: HELLO, have: true },
      { cid: numberedBlock(3).cid, have: false },
    ]
    const pieces = encodeReply({ blocks, presences, pendingBytes: 300 })
    assert.ok(pieces.includes(blocks[1]!.bytes))
    const message = decodeMessage(whole(pieces))
    assert.deepEqual(
      message.blocks.map(({ version, codec, hashCode, bytes }) => [version, codec, hashCode, Buffer.from(bytes)]),
      blocks.map(({ bytes }) => [1, 0x55, 0x12, Buffer.from(bytes)]),
    )
    assert.deepEqual(
      message.presences.map(({ cid, have }) => [cid.toString(), have]),
      [
        [HELLO.toString(), true],
        [presences[1]!.cid.toString(), false],
      ],
    )
    assert.equal(message.pendingBytes, 300)
  })

  test('small blocks are put together, so that they do not each cost a record', () => {
    const blocks = Array.from({ length: 256 }, (_, index) => numberedBlock(index, 4 * KiB))
    const pieces = encodeReply({ blocks, presences: [], pendingBytes: 0 })
    const sizes = pieces.map(({ byteLength }) => byteLength)
    assert.ok(
      sizes.every((size) => size <= 64 * KiB) && sizes.slice(0, -1).every((size) => size > 48 * KiB),
      `${sizes}`,
    )
    assert.deepEqual(
      decodeMessage(whole(pieces)).blocks.map(({ bytes }) => Buffer.from(bytes)),
      blocks.map(({ bytes }) => bytes),
    )
  })

  test('property: any wants come back as they were sent', () => {
    const entry = fc.record({
      cid: fc.nat().map((index) => numberedBlock(index).cid),
      cancel: fc.boolean(),
      wantType: fc.constantFrom(WANT_BLOCK, WANT_HAVE),
      priority: fc.integer({ min: 0, max: 0x7fffffff }),
      sendDontHave: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 50 }), fc.boolean(), (entries, full) => {
        const message = decodeMessage(whole([encodeWants(entries, full)]))
        assert.equal(message.full, full)
        assert.deepEqual(
          message.wants.map((want) => ({ ...want, cid: want.cid.toString() })),
          entries.map((want) => ({ ...want, cid: want.cid.toString() })),
        )
      }),
    )
  })

  test('property: a stream is cut into the same messages however its bytes arrive', () => {
    const sent = [1, 2, 3].map((index) => {
      const [block] = [numberedBlock(index, index * 100)]
      return Buffer.concat(encodeReply({ blocks: [block!], presences: [], pendingBytes: 0 }))
    })
    const stream = Buffer.concat(sent)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (sizes) => {
        const splitter = new MessageSplitter()
        const received: Uint8Array[] = []
        for (let at = 0, turn = 0; at < stream.byteLength; turn++) {
          const size = sizes[turn % sizes.length]!
          splitter.push(stream.subarray(at, at + size), (message) => received.push(message))
          at += size
        }
        assert.deepEqual(
          received.map((message) => decodeMessage(message).blocks[0]!.bytes.byteLength),
          [100, 200, 300],
        )
      }),
    )
  })

  test('a length above the limit, or a varint without end, is refused before anything is buffered', () => {
    const tooLong = [Buffer.from([0x81, 0x80, 0x80, 0x02]), Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80])]
    assert.ok(0x4000001 > MAX_MESSAGE_BYTES)
    for (const bytes of tooLong) {
      const before = process.memoryUsage().arrayBuffers
      assert.throws(
        () => new MessageSplitter().push(bytes, () => {}),
        (error) => hasCode(error, 'bad-data'),
      )
      assert.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024)
    }
  })

  test('of a message full of wants or presences no more are read than a wantlist could need', () => {
    const cids = Array.from({ length: 5000 }, (_, index) => numberedBlock(index).cid)
    const want = { cancel: false, wantType: WANT_HAVE, priority: 1, sendDontHave: true } as const
    const wants = cids.map((cid) => ({ ...want, cid }))
    assert.equal(decodeMessage(whole([encodeWants(wants)])).wants.length, 4096)
    const presences = cids.map((cid) => ({ cid, have: true }))
    const reply = decodeMessage(whole(encodeReply({ blocks: [], presences, pendingBytes: 7 })))
    assert.deepEqual([reply.presences.length, reply.pendingBytes], [4096, 7])
  })

  test('of a message full of empty blocks no more are read than of wants', () => {
    const emptyBlock = '1a06' + '0a0401551220'
    const count = 5000
    assert.equal(decodeMessage(Buffer.from(emptyBlock.repeat(count), 'hex')).blocks.length, 4096)
  })

  test('blocks without a prefix, as in bitswap 1.0.0, are passed over', () => {
    const { blocks, pendingBytes } = decodeMessage(Buffer.from(`${'1200'.repeat(5000)}2807`, 'hex'))
    assert.deepEqual([blocks.length, pendingBytes], [0, 7])
  })

  test('malformed messages are refused with a typed error', () => {
    const malformed = {
      'cut varint': '0880',
      'length beyond the end': '0aff01',
      'want without a CID': '0a04' + '0a02' + '1001',
      'empty CID': '0a04' + '0a02' + '0a00',
      'undecodable CID': '0a06' + '0a04' + '0a02' + 'ffff',
      'block without a prefix': '1a03' + '120100',
      'wantlist as a varint': '0801',
      'field number 0': '0200',
      'group wire type': '0b',
    }
    for (const [what, hex] of Object.entries(malformed)) {
      assert.throws(
        () => decodeMessage(Buffer.from(hex, 'hex')),
        (error) => hasCode(error, 'bad-data'),
        what,
      )
    }
  })

  test('property: random bytes never throw anything but a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          decodeMessage(bytes)
        } catch (error) {
          assert.ok(hasCode(error, 'bad-data'), String(error))
        }
      }),
    )
  })
})
