import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { runGcCycles } from './gc-cycles.ts'

/** In full: GC_CYCLES=500, and GC_SEED for a certain run. */
const cycles = Number(process.env.GC_CYCLES ?? 20)
const seed = process.env.GC_SEED ?? randomUUID()

test(`${cycles} collections lose nothing that is acknowledged beside them (seed ${seed})`, async (t) => {
  const counts = await runGcCycles(t, { seed, cycles })
  t.diagnostic(JSON.stringify(counts))
  assert.ok(counts.removedBlocks > 0 && counts.acknowledged > 0 && counts.fetched > 0 && counts.givenUp > 0)
})
