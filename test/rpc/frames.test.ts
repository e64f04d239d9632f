import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeContentHeader, encodeFrame, type Received, readFrames } from '../../src/rpc/frames.ts'

/** What comes of the bytes when they arrive in pieces of so many. */
async function readInPieces(bytes: Buffer, pieceBytes: number, maxLineBytes = 1000): Promise<unknown[]> {
  async function* pieces() {
    for (let start = 0; start < bytes.byteLength; start += pieceBytes) yield bytes.subarray(start, start + pieceBytes)
  }
  const received: unknown[] = []
  let content = ''
  const add = ({ kind, ...rest }: Received) => {
    if (kind === 'content') {
      content += Buffer.from((rest as { content: Uint8Array }).content).toString()
      return
    }
    if (content !== '') received.push(content)
    content = ''
    received.push((rest as { frame: unknown }).frame)
  }
  for await (const one of readFrames(pieces(), { maxLineBytes })) add(one)
  if (content !== '') received.push(content)
  return received
}

test('lines and content arrive as they were sent, however they are cut', async () => {
  const sent = Buffer.concat([
    Buffer.from(encodeFrame({ type: 'first', text: 'ü\n"' })),
    Buffer.from('\n\n'),
    Buffer.from(encodeContentHeader(5)),
    Buffer.from('a\n{}b'),
    Buffer.from(encodeContentHeader(0)),
    Buffer.from(encodeFrame({ type: 'last' })),
  ])
  const expected = [{ type: 'first', text: 'ü\n"' }, 'a\n{}b', { type: 'last' }]
  for (const pieceBytes of [1, 2, 3, 7, 1000]) assert.deepEqual(await readInPieces(sent, pieceBytes), expected)
})

test('a last line needs no line feed, and content that is cut off ends with what came', async () => {
  assert.deepEqual(await readInPieces(Buffer.from('{"a":1}'), 3), [{ a: 1 }])
  assert.deepEqual(await readInPieces(Buffer.from(`${encodeContentHeader(10)}abc`), 100), ['abc'])
})

test('what is no frame is refused', async () => {
  for (const text of ['x\n', '1\n', '[]\n', 'null\n', '{"a":1}}\n', '{"type":"content"}\n']) {
    await assert.rejects(readInPieces(Buffer.from(text), 100), { code: 'usage' }, text)
  }
  for (const bytes of ['-1', '1.5', '1e300', '"5"', 'null']) {
    await assert.rejects(readInPieces(Buffer.from(`{"type":"content","bytes":${bytes}}\n`), 100), { code: 'usage' })
  }
})

test('a line beyond the limit is refused before it has ended', async () => {
  await assert.rejects(readInPieces(Buffer.alloc(1001, ' '), 10), { code: 'limit' })
  assert.deepEqual(await readInPieces(Buffer.concat([Buffer.alloc(998, ' '), Buffer.from('{}')]), 10), [{}])
})
