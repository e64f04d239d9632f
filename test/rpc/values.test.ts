import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pickValues, readValues } from '../../src/rpc/values.ts'

const KINDS = {
  flag: 'boolean?',
  count: 'number',
  limit: 'number or null?',
  name: 'string?',
  names: 'strings?',
  path: 'path?',
  paths: 'paths?',
  word: [undefined, 'one', 'two'],
} as const

test('values of their kinds are taken as they are', () => {
  for (const values of [
    { count: 0 },
    {
      count: Number.MAX_SAFE_INTEGER,
      flag: false,
      limit: null,
      name: '',
      names: [],
      path: '/',
      paths: ['/a', '/b'],
      word: 'two',
    },
  ]) {
    assert.deepEqual(readValues(JSON.parse(JSON.stringify(values)), KINDS, 'options'), values)
  }
})

test('values of other kinds are refused, by their name', () => {
  const rows: [string, object][] = [
    ['options.count', {}],
    ['options.count', { count: -1 }],
    ['options.count', { count: 1.5 }],
    ['options.count', JSON.parse('{ "count": 1e999 }')],
    ['options.limit', { count: 1, limit: 2 ** 53 }],
    ['options.count', { count: null }],
    ['options.flag', { count: 1, flag: 1 }],
    ['options.flag', { count: 1, flag: null }],
    ['options.limit', { count: 1, limit: '1' }],
    ['options.name', { count: 1, name: ['a'] }],
    ['options.names', { count: 1, names: 'a' }],
    ['options.names', { count: 1, names: [1] }],
    ['options.path', { count: 1, path: 'relative' }],
    ['options.paths', { count: 1, paths: ['/a', '/a\0b'] }],
    ['options.word', { count: 1, word: 'three' }],
    ['options.other', { count: 1, other: 1 }],
  ]
  for (const [name, values] of rows) {
    assert.throws(() => readValues(values, KINDS, 'options'), { code: 'usage', message: new RegExp(`^"${name}"`) })
  }
})

test('only what has a kind is sent', () => {
  assert.deepEqual(pickValues({ count: 1, signal: 'x', onEvent: 'y', path: '/p' }, KINDS), { count: 1, path: '/p' })
})
