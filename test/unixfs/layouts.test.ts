/** Every shape that a file's tree can have, made by the library and read by us: at its boundaries, in any order. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { importFile } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced, trickle } from 'ipfs-unixfs-importer/layout'
import type { CID } from 'multiformats/cid'
import { StreamOutput } from '../../src/files/stream-output.ts'
import { randomBytes } from '../support/bytes.ts'
import { exported, type MemorySink, Source } from '../support/memory-export.ts'

const CHUNK_BYTES = 8
const MAX_CHILDREN = 3

/** Around whole chunks, full nodes, and full trees of up to four levels. */
const sizes = fc
  .tuple(fc.constantFrom(0, 1, 2, 3, 4, 9, 10, 13, 27, 28, 81, 82, 100), fc.constantFrom(-1, 0, 1))
  .map(([chunks, change]) => Math.max(0, chunks * CHUNK_BYTES + change))

const shapes = fc.record({
  bytes: sizes,
  layout: fc.constantFrom('balanced', 'trickle'),
  rawLeaves: fc.boolean(),
  cidVersion: fc.constantFrom(0 as const, 1 as const),
  /** Trickle and old importers have leaves of type Raw. */
  leafType: fc.constantFrom('file' as const, 'raw' as const),
  reduceSingleLeafToSelf: fc.boolean(),
  firstLeaf: fc.nat(MAX_CHILDREN),
  repeats: fc.boolean(),
})

test('files of any layout, size and kind of leaf come out whole, in any order and in the right one', async () => {
  await fc.assert(
    fc.asyncProperty(shapes, async ({ bytes, layout, firstLeaf, repeats, ...options }) => {
      const content = repeats ? Buffer.alloc(bytes, 'same') : randomBytes('layouts', bytes)
      const source = new Source()
      const store = {
        put: async (cid: CID, block: Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>) => {
          assert.ok(block instanceof Uint8Array)
          source.put(cid, block)
          return cid
        },
      }
      const { cid } = await importFile({ content }, store, {
        ...options,
        chunker: fixedSize({ chunkSize: CHUNK_BYTES }),
        layout: (layout === 'trickle' ? trickle : balanced)({ maxChildrenPerNode: MAX_CHILDREN }),
      })
      const sink = await exported({ block: { cid } }, source, undefined, {
        firstLeaf: (leaves) => firstLeaf % Math.max(1, leaves),
      })
      assert.deepEqual(sink.files.get(''), content)
      assert.ok(sink.closed.has(''))
      const streamed: Uint8Array[] = []
      const stream = new StreamOutput(async (piece) => {
        streamed.push(Uint8Array.from(piece))
      })
      await exported({ block: { cid } }, source, stream as unknown as MemorySink)
      assert.deepEqual(Buffer.concat(streamed), content)
    }),
    { seed: 20_240_601, numRuns: 300 },
  )
})
