/**
 * Limits on real processes. A token bucket promises that over any time no more passes than the rate times it and one
 * burst: what a download received and how long it took, both of the same run, are held against that, so a slow machine
 * cannot make a test fail.
 */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { KiB, MiB } from '../../src/common/units.ts'
import { sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import type { CleanUpScope } from '../support/clean-up.ts'
import { addPath, type GetResultEvent, resultOfGet, startP2p, startServe } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'

const FILE_BYTES = 12 * MiB
/** Of the limiter: a tenth of a second. */
const BURST_SECONDS = 0.1

interface Download {
  result: GetResultEvent
  /** All values of `heldBackBy` that were reported. */
  heldBackBy: Set<unknown>
}

async function download(scope: CleanUpScope, serveArgs: string[], getArgs: string[]): Promise<Download> {
  const folder = await makeTempDir(scope)
  const file = join(folder, 'file')
  const sha256 = await writeRandomFile(file, 'rate limits', FILE_BYTES)
  const cid = await addPath(join(folder, 'seeder'), file)
  const { multiaddr } = await startServe(scope, join(folder, 'seeder'), serveArgs)
  const output = join(folder, 'copy')
  const args = ['get', cid, '-o', output, '--peer', multiaddr, '--json', ...getArgs]
  const get = startP2p(scope, args, { repo: join(folder, 'receiver') })
  const result = resultOfGet(await get.finished)
  assert.equal(await sha256OfFile(output), sha256)
  const progress = get.events.filter(({ type }) => type === 'progress')
  for (const { bytes, bytesPerSecond, etaSeconds } of progress) {
    if (bytes === 0) assert.deepEqual([bytesPerSecond, etaSeconds], [0, null], 'the structure tells no rate of content')
  }
  const heldBackBy = new Set(progress.map((event) => event.heldBackBy))
  return { result, heldBackBy }
}

/** What may pass in the time of the download at this limit. */
function allowance(bytesPerSecond: number, { stats }: GetResultEvent): number {
  return bytesPerSecond * (stats.seconds + BURST_SECONDS)
}

describe('limits', () => {
  test('a seeder sends no faster than --limit-up', async (t) => {
    const { result, heldBackBy } = await download(t, ['--limit-up', '4MiB', '--limit-lan'], [])
    assert.ok(result.stats.receivedBytes <= allowance(4 * MiB, result), JSON.stringify(result.stats))
    assert.ok(heldBackBy.has('peer'), `${[...heldBackBy]}`)
  })

  test('a receiver takes no faster than --limit-down, and says what holds it back', async (t) => {
    const { result, heldBackBy } = await download(t, [], ['--limit-down', '4MiB', '--limit-lan'])
    assert.ok(result.stats.receivedBytes <= allowance(4 * MiB, result), JSON.stringify(result.stats))
    assert.equal(result.stats.duplicateBytes, 0, 'what is held back is not asked for again')
    assert.ok(heldBackBy.has('limit'), `${[...heldBackBy]}`)
  })

  test('peers on this machine are not held to it by default', async (t) => {
    const { result } = await download(t, ['--limit-up', '16KiB'], ['--limit-down', '16KiB'])
    assert.ok(result.stats.receivedBytes > allowance(16 * KiB, result), JSON.stringify(result.stats))
  })
})
