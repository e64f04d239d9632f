/** One tree, imported by Kubo and by us. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { systemClock } from '../../../src/common/clock.ts'
import { hashSources } from '../../../src/node/operations/add.ts'
import type { Switches } from './random-switches.ts'

/** Runs `ipfs` with these arguments. @returns its stdout, trimmed */
export type RunKubo = (...args: string[]) => Promise<string>

/** @throws AssertionError if the CIDs differ */
export async function compareImports(folder: string, { ours, kubo }: Switches, runKubo: RunKubo): Promise<void> {
  const path = join(folder, 'tree')
  // Kubo writes it, since --only-hash takes no notice of some switches.
  const expected = await runKubo('add', '--recursive', '--quieter', ...kubo, path)
  const { roots, failures } = await hashSources({ clock: systemClock }, [{ path }], ours)
  assert.deepEqual(failures, [])
  assert.equal(roots[0]?.cid, expected)
}
