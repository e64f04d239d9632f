/** What a download on real processes says that holds it back; limits and slow peers are in `rate-limits.test.ts`. */

import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { interceptEnv } from '../faults/calls/intercept.ts'
import { writeRandomFile } from '../support/bytes.ts'
import type { CleanUpScope } from '../support/clean-up.ts'
import { intercept } from '../support/intercept.ts'
import { addPath, resultOfGet, startP2p, startServe } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'

interface Setting {
  bytes: number
  addArgs?: string[]
  /** Of the process that downloads. @param out - the folder that the copy is written to */
  envOf?: (out: string) => Record<string, string>
}

/** @returns all values of `heldBackBy` that were reported */
async function download(
  scope: CleanUpScope,
  { bytes, addArgs = [], envOf = () => ({}) }: Setting,
): Promise<Set<unknown>> {
  const folder = await makeTempDir(scope)
  const [file, out] = [join(folder, 'file'), join(folder, 'out')]
  await mkdir(out)
  await writeRandomFile(file, 'held back', bytes)
  const cid = await addPath(join(folder, 'seeder'), file, ...addArgs)
  const { multiaddr } = await startServe(scope, join(folder, 'seeder'))
  const get = startP2p(scope, ['get', cid, '-o', join(out, 'copy'), '--peer', multiaddr, '--json'], {
    repo: join(folder, 'receiver'),
    env: envOf(out),
  })
  resultOfGet(await get.finished)
  return new Set(get.events.filter(({ type }) => type === 'progress').map((event) => event.heldBackBy))
}

test('a slow disk holds a download back', { skip: intercept.why }, async (t) => {
  const library = await intercept.library(t)
  const log = join(await makeTempDir(t), 'calls')
  // Four writes at a time make about 12 MiB/s, which any peer on this machine outruns.
  const envOf = (out: string) => interceptEnv(library, { watched: [out], log, writeDelayMs: 320 })
  const reported = await download(t, { bytes: 32 * MiB, envOf })
  assert.ok(reported.has('disk'), `${[...reported]}`)
})

test('a hash that is slow to compute holds a download back', async (t) => {
  const reported = await download(t, { bytes: 40 * MiB, addArgs: ['--hash', 'blake3'] })
  assert.ok(reported.has('hash'), `${[...reported]}`)
})
