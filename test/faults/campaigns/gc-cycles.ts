/** Collections against all that goes on beside them (`test/pin/gc-cycles.ts`). */

import { AssertionError } from 'node:assert/strict'
import { runGcCycles } from '../../pin/gc-cycles.ts'
import type { Campaign } from '../campaign.ts'

const CYCLES = 500

export const gcCycles: Campaign = {
  name: 'gc-cycles',
  title: `${CYCLES} collections beside 4 adders, a get and changes of pins: nothing is lost that was acknowledged`,
  atLeast: CYCLES,
  run: async ({ scope, sample }) => {
    try {
      const counts = await runGcCycles(scope, { seed: sample.seed, cycles: sample.count(CYCLES) })
      const { collections, removedBlocks, acknowledged, fetched, givenUp } = counts
      return {
        points: collections,
        violations: [],
        notes: [
          `${removedBlocks} blocks removed; ${acknowledged} roots pinned, ${fetched} fetched, ${givenUp} given up meanwhile`,
        ],
      }
    } catch (error) {
      if (!(error instanceof AssertionError)) throw error
      return { points: 0, violations: [error.message] }
    }
  },
}
