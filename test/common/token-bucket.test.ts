import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { TokenBucket } from '../../src/common/token-bucket.ts'

describe('token bucket', () => {
  it('lets a burst pass at once, and what follows at the rate', () => {
    const bucket = new TokenBucket({ bytesPerSecond: 1000, burstBytes: 100, nowMs: 0 })
    assert.equal(bucket.take(100, 0), 0)
    assert.equal(bucket.take(50, 0), 50)
    assert.equal(bucket.take(50, 0), 100, 'behind what was taken before')
    assert.equal(bucket.take(50, 100), 50)
  })

  it('takes more than a burst in one go, and makes it wait for the rest', () => {
    const bucket = new TokenBucket({ bytesPerSecond: 1000, burstBytes: 100, nowMs: 0 })
    assert.equal(bucket.take(600, 0), 500)
  })

  it('saves up no more than a burst', () => {
    const bucket = new TokenBucket({ bytesPerSecond: 1000, burstBytes: 100, nowMs: 0 })
    assert.equal(bucket.take(200, 3_600_000), 100)
  })

  it('property: in any span no more than rate x span and a burst passes, and nobody waits longer than that takes', () => {
    const rate = 1000
    const burst = 100
    const takes = fc.array(fc.record({ bytes: fc.integer({ min: 1, max: 300 }), afterMs: fc.nat(400) }), {
      maxLength: 40,
    })
    fc.assert(
      fc.property(takes, (steps) => {
        const bucket = new TokenBucket({ bytesPerSecond: rate, burstBytes: burst, nowMs: 0 })
        const passed: { atMs: number; bytes: number }[] = []
        let nowMs = 0
        for (const { bytes, afterMs } of steps) {
          nowMs += afterMs
          passed.push({ atMs: nowMs + bucket.take(bytes, nowMs), bytes })
        }
        for (const [first, { atMs: fromMs }] of passed.entries()) {
          let sum = 0
          for (const { atMs, bytes } of passed.slice(first)) {
            sum += bytes
            assert.ok(sum <= (rate * (atMs - fromMs)) / 1000 + burst + passed[first]!.bytes + 1e-6)
          }
        }
        const total = passed.reduce((sum, { bytes }) => sum + bytes, 0)
        assert.ok((passed.at(-1)?.atMs ?? 0) <= nowMs + (total / rate) * 1000)
      }),
    )
  })
})
