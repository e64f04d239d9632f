import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { P2PError } from '../../src/common/errors.ts'
import { escapeForTerminal, safeEntryName, suggestedFileName } from '../../src/files/safe-name.ts'

const REFUSED = [
  '',
  '.',
  '..',
  '/',
  '//',
  '/etc/passwd',
  '../up',
  'a/b',
  'a/../b',
  'nul\0',
  '\0',
  'lone\ud800surrogate',
  'a'.repeat(256),
  'ä'.repeat(128),
]

/** On a disk as good as any other; on a terminal they would be something else. */
const ESCAPED = [
  'line\nbreak',
  'carriage\rreturn',
  'tab\there',
  '\u001b[31mred',
  '\u007f',
  '\u009b31m',
  '\u0085',
  'exe\u202etxt.',
  '\u202a',
  '\u202b',
  '\u202d',
  '\u2066a',
  '\u2067a',
  '\u2069a',
  'line\u2028separator',
  'paragraph\u2029separator',
]

const KEPT = [
  'name.txt',
  '.hidden',
  '..a',
  '...',
  ' ',
  ' lead and trail ',
  'ab:c',
  'a\\b',
  '..\\up',
  '\\\\server\\share',
  '\\',
  'C:',
  'c:name',
  'C:\\Windows',
  '1:a',
  'con',
  'NUL.txt',
  '*?<>|"',
  '~',
  '-rf',
  '$HOME',
  '%2e%2e%2f',
  'שלום',
  'e\u0301',
  '\ufeffbom',
  '👩‍👩‍👧',
  'a'.repeat(255),
  'ä'.repeat(127),
]

test('names that lead elsewhere or are none are refused', () => {
  for (const name of REFUSED) {
    assert.throws(
      () => safeEntryName(name),
      (error) => {
        assert.ok(error instanceof P2PError)
        assert.equal(error.code, 'bad-data')
        assert.equal(escapeForTerminal(error.message), error.message, 'the message itself is fit for a terminal')
        return true
      },
      JSON.stringify(name),
    )
  }
})

test('odd but harmless names are kept as they are', () => {
  for (const name of [...KEPT, ...ESCAPED]) assert.equal(safeEntryName(name), name)
})

test('text for a terminal shows its control and direction characters as code points', () => {
  assert.equal(escapeForTerminal('\u001b[2Jx\u202ey\u200fz\n'), '\\u{1b}[2Jx\\u{202e}y\\u{200f}z\\u{a}')
  assert.equal(escapeForTerminal('plain שלום 👩‍👩‍👧'), 'plain שלום 👩‍👩‍👧')
  for (const name of ESCAPED) assert.notEqual(escapeForTerminal(name), name)
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.doesNotMatch(escapeForTerminal(text), /[\p{Cc}\u202a-\u202e\u2066-\u2069]/u)
    }),
  )
})

test('a suggested file name is the last segment, made harmless', () => {
  const expected = {
    'report.pdf': 'report.pdf',
    'a/b/c.txt': 'c.txt',
    '../../etc/passwd': 'passwd',
    'a\\b\\c.txt': 'c.txt',
    'folder/': 'folder',
    'C:evil': 'C_evil',
    'C:': 'C_',
    '.bashrc': 'bashrc',
    '...': 'download',
    '..': 'download',
    '': 'download',
    '///': 'download',
    'a\nb\u202ec\0': 'a_b_c_',
    ' padded ': 'padded',
    'lone\ud800': 'lone_',
  }
  for (const [hostile, safe] of Object.entries(expected)) assert.equal(suggestedFileName(hostile), safe)
  assert.equal(suggestedFileName('ä'.repeat(200)), 'ä'.repeat(127))
  for (const name of [...REFUSED, ...ESCAPED, ...KEPT]) assertSafe(suggestedFileName(name))
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (hostile) => assertSafe(suggestedFileName(hostile))))
})

function assertSafe(name: string): void {
  safeEntryName(name)
  assert.doesNotMatch(name, /^\.|^[a-z]:|[\\\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/iu)
}
