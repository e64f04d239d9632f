import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MiB } from '../../../src/common/units.ts'
import { heldBackBy, type LoadSample } from '../../../src/node/operations/bottleneck.ts'

/** Samples every 250 ms, changed by `at`, which gets the milliseconds since the first one. */
function samples(count: number, at: (ms: number) => Partial<LoadSample> = () => ({})): LoadSample[] {
  return Array.from({ length: count }, (_, index) => {
    const ms = index * 250
    return { atMs: 1000 + ms, inFlightBytes: 0, queuedWriteBytes: 0, hashMs: 7, limitMs: 9, ...at(ms) }
  })
}

describe('what holds a download back', () => {
  it('is not told from less than a second, nor from nothing', () => {
    assert.equal(heldBackBy([]), null)
    assert.equal(heldBackBy(samples(4, () => ({ inFlightBytes: MiB }))), null)
    assert.equal(heldBackBy(samples(20)), null)
  })

  it('is where most bytes wait: at peers or before the disk', () => {
    assert.equal(heldBackBy(samples(20, () => ({ inFlightBytes: 16 * MiB, queuedWriteBytes: MiB }))), 'peer')
    assert.equal(heldBackBy(samples(20, () => ({ inFlightBytes: MiB, queuedWriteBytes: 40 * MiB }))), 'disk')
  })

  it('is the limit or the hash when they take half of the time, whatever waits elsewhere', () => {
    const waiting = { inFlightBytes: 16 * MiB, queuedWriteBytes: 0 }
    assert.equal(heldBackBy(samples(20, (ms) => ({ ...waiting, limitMs: 3 + ms * 0.6 }))), 'limit')
    assert.equal(heldBackBy(samples(20, (ms) => ({ ...waiting, hashMs: 3 + ms * 0.6 }))), 'hash')
    assert.equal(heldBackBy(samples(20, (ms) => ({ ...waiting, hashMs: ms * 0.3, limitMs: ms * 0.3 }))), 'peer')
  })
})
