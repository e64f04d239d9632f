import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CarWriter } from '@ipld/car/writer'
import type { CID } from 'multiformats/cid'
import { readCar } from '../../src/car/read.ts'
import { carHeader } from '../../src/car/write.ts'
import { hasCode } from '../../src/common/errors.ts'
import { writeVarint } from '../../src/common/protobuf.ts'
import { MiB } from '../../src/common/units.ts'
import type { Block } from '../../src/dag/block.ts'
import { damaged, identityCid, numberedBlock, randomBlock, rawBlock } from '../support/blocks.ts'
import { carSection, carV2 } from '../support/cars.ts'

/** As another implementation writes it. */
async function libraryCar(roots: CID[], blocks: Block[]): Promise<Buffer> {
  const { writer, out } = CarWriter.create(roots)
  const pieces: Uint8Array[] = []
  const reading = (async () => {
    for await (const piece of out) pieces.push(piece)
  })()
  for (const block of blocks) await writer.put(block)
  await writer.close()
  await reading
  return Buffer.concat(pieces)
}

async function* inChunks(bytes: Uint8Array, size = 7): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.byteLength; start += size) yield bytes.subarray(start, start + size)
}

async function readAll(bytes: Uint8Array, chunkSize?: number) {
  const { version, roots, blocks } = await readCar(inChunks(bytes, chunkSize))
  const found: Block[] = []
  for await (const block of blocks) found.push(block)
  return { version, roots, blocks: found }
}

const blocks = [randomBlock('large', 2 * MiB), numberedBlock(1), rawBlock(new Uint8Array(0)), numberedBlock(2, 300)]
const [first] = blocks as [Block]
const inline = { cid: identityCid(Buffer.from('in the name')), bytes: Buffer.from('in the name') }

function assertSame({ roots, blocks: found }: Awaited<ReturnType<typeof readAll>>, expected: Block[]): void {
  assert.deepEqual(roots.map(String), [String(first.cid)])
  const shown = (block: Block) => [block.cid.toString(), Buffer.from(block.bytes).toString('latin1')]
  assert.deepEqual(found.map(shown), expected.map(shown))
}

test('what is written is what the library writes', async () => {
  const all = [...blocks, inline]
  const written = Buffer.concat([carHeader([first.cid]), ...all.map(carSection)])
  assert.ok(written.equals(await libraryCar([first.cid], all)))
})

test('both versions are read, with padding and what stands behind the blocks, in chunks of any size', async () => {
  const all = [...blocks, inline]
  const plain = await libraryCar([first.cid], all)
  assertSame(await readAll(plain, 64 * 1024), all)
  assertSame(await readAll(Buffer.concat([plain, Buffer.alloc(100_000)]), MiB), all)
  for (const options of [{}, { padding: 1000 }, { padding: 3, index: 5000 }]) {
    assertSame(await readAll(carV2(plain, options), 100_001), all)
  }
  const small = await libraryCar([first.cid], [numberedBlock(1), inline])
  for (const size of [1, 2, 13])
    assertSame(await readAll(carV2(small, { padding: 5 }), size), [numberedBlock(1), inline])
  const { roots, blocks: none } = await readAll(carHeader([]))
  assert.deepEqual([roots, none], [[], []])
})

test('a block that is not what it is called is refused, with its place', async () => {
  const good = Buffer.concat([carHeader([first.cid]), carSection(numberedBlock(1))])
  const bad = { cid: numberedBlock(2).cid, bytes: damaged(numberedBlock(2).bytes) }
  const seen: string[] = []
  const { blocks: found } = await readCar(inChunks(Buffer.concat([good, carSection(bad)])))
  await assert.rejects(
    async () => {
      for await (const { cid } of found) seen.push(cid.toString())
    },
    (error) => hasCode(error, 'verification') && error.message.includes(`at byte ${good.byteLength}`),
  )
  assert.deepEqual(seen, [numberedBlock(1).cid.toString()])
})

function varint(value: number): Uint8Array {
  const bytes = new Uint8Array(10)
  return bytes.subarray(0, writeVarint(bytes, 0, value))
}

const header = carHeader([first.cid])
const malformed: { name: string; bytes: Uint8Array; offset: number; code?: 'limit' }[] = [
  { name: 'nothing', bytes: Buffer.alloc(0), offset: 0 },
  { name: 'text', bytes: Buffer.from('not a CAR file at all, but some text'), offset: 0 },
  { name: 'zeros', bytes: Buffer.alloc(100), offset: 0 },
  { name: 'half a header', bytes: header.subarray(0, 20), offset: 0 },
  { name: 'an endless header', bytes: Buffer.concat([varint(2 ** 40), Buffer.alloc(100)]), offset: 0, code: 'limit' },
  { name: 'a header of another version', bytes: Buffer.from('0aa16776657273696f6e03', 'hex'), offset: 0 },
  { name: 'a version 2 that leads back into itself', bytes: carV2(header, { offset: 10 }), offset: 0 },
  { name: 'a version 2 that leads out of the file', bytes: carV2(header, { offset: 2 ** 50 }), offset: 0 },
  {
    name: 'a version 2 whose data ends within a block',
    bytes: carV2(Buffer.concat([header, carSection(first)]), { size: header.byteLength + 100 }),
    offset: 51 + header.byteLength,
  },
  {
    name: 'a block that is cut off',
    bytes: Buffer.concat([header, carSection(first)]).subarray(0, -1),
    offset: header.byteLength,
  },
  {
    name: 'an endless block',
    bytes: Buffer.concat([header, varint(2 ** 45), first.cid.bytes, Buffer.alloc(100)]),
    offset: header.byteLength,
    code: 'limit',
  },
  {
    name: 'a block above 2 MiB',
    bytes: Buffer.concat([header, carSection(randomBlock('too large', 2 * MiB + 1))]),
    offset: header.byteLength,
    code: 'limit',
  },
  {
    name: 'a section shorter than its CID',
    bytes: Buffer.concat([header, varint(10), first.cid.bytes]),
    offset: header.byteLength,
  },
  {
    name: 'an empty section before another one',
    bytes: Buffer.concat([header, Buffer.alloc(1), carSection(numberedBlock(1))]),
    offset: header.byteLength,
  },
  {
    name: 'a varint without an end',
    bytes: Buffer.concat([header, Buffer.alloc(12, 0xff)]),
    offset: header.byteLength,
  },
  {
    name: 'an unknown hash function',
    bytes: Buffer.concat([header, varint(8), Buffer.from([1, 0x55, 0x7f, 4, 1, 2, 3, 4])]),
    offset: header.byteLength,
  },
  {
    name: 'a long digest',
    bytes: Buffer.concat([header, varint(2 ** 30), Buffer.from([1, 0x55, 0x12]), varint(2 ** 29), Buffer.alloc(99)]),
    offset: header.byteLength,
    code: 'limit',
  },
]

for (const { name, bytes, offset, code = 'bad-data' } of malformed) {
  test(`${name} is refused with the place`, async () => {
    for (const chunkSize of [64 * 1024, 11]) {
      if (chunkSize * 10_000 < bytes.byteLength) continue
      await assert.rejects(readAll(bytes, chunkSize), (error) => {
        assert.ok(hasCode(error, code), String(error))
        assert.match(error.message, new RegExp(`^Not a valid CAR file, at byte ${offset}: `))
        return true
      })
    }
  })
}

test('a source that breaks is not taken for a malformed file, and is closed when nobody reads on', async () => {
  const broken = new Error('the disk is gone')
  async function* source(): AsyncGenerator<Uint8Array> {
    yield header
    throw broken
  }
  const { blocks: found } = await readCar(source())
  await assert.rejects(found.next(), (error) => error === broken)

  let isClosed = false
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      yield header
      for (;;) yield carSection(numberedBlock(1))
    } finally {
      isClosed = true
    }
  }
  const car = await readCar(endless())
  for await (const _ of car.blocks) break
  assert.ok(isClosed)
})
