import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { ReplayableInput } from '../../src/rpc/replayable-input.ts'

async function* piecesOf(...pieces: string[]) {
  for (const piece of pieces) yield Buffer.from(piece)
}

async function readAll(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  let text = ''
  for await (const piece of pieces) text += Buffer.from(piece).toString()
  return text
}

test('a reader that starts over gets everything', async () => {
  const input = new ReplayableInput(piecesOf('a', 'b', 'c'))
  const first = input.read()
  await first.next()
  await first.next()
  assert.equal(await readAll(input.read()), 'abc')
  assert.equal(await readAll(input.read()), 'abc')
})

test('what a reader that has gone was waiting for reaches the next one, once', async () => {
  let give!: (text: string) => void
  const given = new Promise<string>((resolve) => {
    give = resolve
  })
  const input = new ReplayableInput(
    (async function* () {
      yield Buffer.from(await given)
      yield Buffer.from('b')
    })(),
  )
  const gone = input.read()
  void gone.next()
  void gone.return(undefined)
  const text = readAll(input.read())
  give('a')
  assert.equal(await text, 'ab')
})

test('more than is kept can be read only once', async () => {
  const pieces = async function* () {
    for (let count = 0; count < 40; count++) yield Buffer.alloc(MiB)
  }
  const input = new ReplayableInput(pieces())
  assert.equal((await readAll(input.read())).length, 40 * MiB)
  await assert.rejects(readAll(input.read()), { code: 'io' })
})

test('an error of the source reaches every reader', async () => {
  const input = new ReplayableInput(
    // biome-ignore lint/correctness/useYield: it fails before it yields
    (async function* (): AsyncGenerator<Uint8Array> {
      throw new Error('broken')
    })(),
  )
  await assert.rejects(readAll(input.read()), /broken/)
})
