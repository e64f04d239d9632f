import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DerReader, encodeDer, TAG } from '../../../src/net/tls/der.ts'

for (const length of [0, 127, 128, 255, 256, 65_535, 65_536]) {
  test(`an element of ${length} bytes is read as it was written`, () => {
    const content = Buffer.alloc(length, 7)
    const encoded = encodeDer(TAG.octetString, content.subarray(0, 1), content.subarray(1))
    const reader = new DerReader(encoded)
    const element = reader.read(TAG.octetString)
    assert.deepEqual(Buffer.from(element.content), content)
    assert.deepEqual(element.encoded, encoded)
    reader.end()
  })
}

const malformed: [what: string, hex: string][] = [
  ['nothing', ''],
  ['a tag alone', '04'],
  ['a cut content', '040300'],
  ['a cut length', '048201'],
  ['an indefinite length', '0480000000'],
  ['a long length that fits the short form', '04817f'],
  ['a length with a leading zero', '04820080'],
  ['a length of four bytes', '048401000000'],
  ['a length beyond every input', '0483ffffff00'],
  ['a tag number in the long form', '1f8101'],
  ['another tag', '020101'],
]
for (const [what, hex] of malformed) {
  test(`${what} is refused`, () => {
    assert.throws(() => new DerReader(Buffer.from(hex, 'hex')).read(TAG.octetString), /^Error: DER /)
  })
}

test('bytes after the last element are refused', () => {
  const reader = new DerReader(Buffer.from('0401ff00', 'hex'))
  reader.read(TAG.octetString)
  assert.throws(() => reader.end(), /left over/)
})

test('an optional element is read only if it is there', () => {
  const reader = new DerReader(Buffer.from('0401ff', 'hex'))
  assert.equal(reader.readOptional(TAG.boolean), undefined)
  assert.equal(reader.readOptional(TAG.octetString)?.content[0], 0xff)
  assert.equal(reader.readOptional(TAG.octetString), undefined)
})
