/**
 * Memory that does not grow with the content: each command is measured with little and with much of it, in one run, and
 * the peaks are compared.
 */

import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { formatBytes, MiB } from '../../src/common/units.ts'
import { randomChunks } from '../support/bytes.ts'
import { noPeakMemory, peakBytesOf, runForPeak } from '../support/peak-memory.ts'
import { startServe } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'

/** Fills every window and buffer there is, so that what is more is not on account of them. */
const LITTLE_BYTES = 96 * MiB
const MUCH_BYTES = 384 * MiB
/** The garbage collector takes its time: only growth by a good part of the content is growth with the content. */
const MAX_GROWTH_BYTES = (MUCH_BYTES - LITTLE_BYTES) / 4

function assertFlat(what: string, littlePeak: number, muchPeak: number): void {
  const peaks = `${formatBytes(littlePeak)} for ${formatBytes(LITTLE_BYTES)}, ${formatBytes(muchPeak)} for ${formatBytes(MUCH_BYTES)}`
  assert.ok(muchPeak - littlePeak < MAX_GROWTH_BYTES, `${what}: ${peaks}`)
}

test('add of a stream, serve and get hold a bounded part of the content', { skip: noPeakMemory }, async (t) => {
  const folder = await makeTempDir(t)
  const seederRepo = join(folder, 'seeder')
  const add = async (byteCount: number) => {
    const stdin = randomChunks(`${byteCount} bytes`, byteCount)
    const { code, stdout, stderr, peakBytes } = await runForPeak(t, ['add', '-'], { repo: seederRepo, stdin })
    assert.equal(code, 0, stderr)
    return { cid: stdout.toString().trim(), peakBytes }
  }
  const little = await add(LITTLE_BYTES)
  const much = await add(MUCH_BYTES)
  assertFlat('add', little.peakBytes, much.peakBytes)

  const { process: seeder, multiaddr } = await startServe(t, seederRepo)
  const get = async (cid: string) => {
    const repo = join(folder, 'receiver')
    const output = join(folder, 'output')
    const args = ['get', cid, '-o', output, '--peer', multiaddr]
    const { code, stderr, peakBytes } = await runForPeak(t, args, { repo })
    assert.equal(code, 0, stderr)
    await rm(output)
    return { peakBytes, seederPeakBytes: peakBytesOf(seeder.pid) }
  }
  const littleGot = await get(little.cid)
  const muchGot = await get(much.cid)
  assertFlat('get', littleGot.peakBytes, muchGot.peakBytes)
  assertFlat('serve', littleGot.seederPeakBytes, muchGot.seederPeakBytes)
})
