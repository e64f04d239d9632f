import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hasCode } from '../../src/common/errors.ts'
import { decodeUnixfs, encodeUnixfs, type UnixfsData } from '../../src/unixfs/unixfs-data.ts'

const size = fc.maxSafeNat()
const node: fc.Arbitrary<UnixfsData> = fc.record(
  {
    type: fc.constantFrom('raw', 'directory', 'file', 'metadata', 'symlink', 'hamt-shard'),
    data: fc.uint8Array({ minLength: 1 }),
    fileSize: size,
    blockSizes: fc.array(size),
    hashType: fc.nat(),
    fanout: fc.nat(),
    mode: fc.integer({ min: 1, max: 0o7777 }),
    mtime: fc.record(
      { seconds: fc.maxSafeInteger(), nanoseconds: fc.nat({ max: 999_999_999 }) },
      { noNullPrototype: true },
    ),
  },
  { requiredKeys: ['type', 'blockSizes'], noNullPrototype: true },
)

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text.replaceAll(' ', ''), 'hex')
}

function assertRefused(message: Uint8Array): void {
  assert.throws(
    () => decodeUnixfs(message),
    (error) => hasCode(error, 'bad-data'),
  )
}

test('every message reads back as it was written', () => {
  fc.assert(
    fc.property(node, (original) => {
      const decoded = decodeUnixfs(encodeUnixfs(original))
      // A view of a Buffer is a Buffer; only its bytes count here.
      const comparable = { ...decoded, ...(decoded.data && { data: Uint8Array.from(decoded.data) }) }
      assert.deepEqual(comparable, original)
    }),
  )
})

test('any bytes are read or refused as bad data', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (message) => {
      try {
        decodeUnixfs(message)
      } catch (error) {
        assert.ok(hasCode(error, 'bad-data'), String(error))
      }
    }),
    { numRuns: 2000 },
  )
})

test('every start of a message is read or refused as bad data', () => {
  const whole = encodeUnixfs({
    type: 'file',
    data: Buffer.from('content'),
    fileSize: 300,
    blockSizes: [1, 2 ** 40],
    mode: 0o644,
    mtime: { seconds: -1, nanoseconds: 5 },
  })
  for (let length = 0; length < whole.length; length++) {
    try {
      decodeUnixfs(whole.subarray(0, length))
    } catch (error) {
      assert.ok(hasCode(error, 'bad-data'), String(error))
    }
  }
})

test('messages have the bytes that Kubo writes', () => {
  assert.equal(hex(encodeUnixfs({ type: 'file', fileSize: 0, blockSizes: [] })), '08021800')
  assert.equal(hex(encodeUnixfs({ type: 'directory', blockSizes: [] })), '0801')
  assert.equal(hex(encodeUnixfs({ type: 'symlink', data: Buffer.from('foo'), blockSizes: [] })), '08041203666f6f')
  assert.equal(hex(encodeUnixfs({ type: 'directory', blockSizes: [], mode: 0o755 })), '080138ed03')
  assert.equal(
    hex(encodeUnixfs({ type: 'directory', blockSizes: [], mtime: { seconds: 1, nanoseconds: 258 } })),
    '08014207' + '0801' + '1502010000',
  )
  assert.equal(
    hex(encodeUnixfs({ type: 'directory', blockSizes: [], mtime: { seconds: -1, nanoseconds: 0 } })),
    '0801420b' + '08ffffffffffffffffff01',
  )
})

test('packed block sizes, unknown fields and repeated fields are read', () => {
  assert.deepEqual(decodeUnixfs(bytes('0802 2203 05ac02')).blockSizes, [5, 300])
  assert.deepEqual(decodeUnixfs(bytes('0802 2200')).blockSizes, [])
  assert.deepEqual(decodeUnixfs(bytes('0802 7a02abcd 7801 7d01020304 790102030405060708')), {
    type: 'file',
    blockSizes: [],
  })
  assert.equal(decodeUnixfs(bytes('0802 1801 1802')).fileSize, 2)
})

test('malformed messages are refused', () => {
  const malformed = {
    'no type': '',
    'unknown type': '0806',
    'type as bytes': '0a0102',
    'data as a number': '0802 1001',
    'data beyond the end': '0802 12ff01',
    'data of 2^63 bytes': '0802 12ffffffffffffffff7f',
    'file size of 2^53': '0802 188080808080808010',
    'file size of 2^64 - 1': '0802 18ffffffffffffffffff01',
    'varint of eleven bytes': '0802 18ffffffffffffffffffff01',
    'packed sizes that end in a number': '0802 220180',
    'packed size of 2^53': '0802 22088080808080808010',
    'cut mtime': '0802 4202 0880',
    'mtime beyond 2^53': '0802 420a 08ffffffffffffffff7f',
    'nanoseconds of a second': '0802 4205 1500ca9a3b',
    'nanoseconds as a varint': '0802 4202 1001',
    'field number 0': '0802 0001',
    group: '0802 7b',
  }
  for (const message of Object.values(malformed)) assertRefused(bytes(message))
})
