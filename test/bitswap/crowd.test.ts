/** Receivers that share one slow seeder, in virtual time. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MiB, SECOND_MS } from '../../src/common/units.ts'
import { Simulation } from './swarm-simulator.ts'

const BLOCKS = 256
const SEEDER_RATE = 8 * MiB
const FILE_BYTES = BLOCKS * MiB
/** How long the seeder needs to send everything once. */
const ONCE_MS = (FILE_BYTES / SEEDER_RATE) * SECOND_MS

interface CrowdOptions {
  receivers: number
  /** Whether each begins at another block. */
  apart: boolean
  uploadRates?: number[]
  startsAtMs?: number[]
}

/** Receivers that know the seeder from the start and each other after a second. */
function crowd({ receivers: count, apart, uploadRates = [], startsAtMs = [] }: CrowdOptions) {
  const simulation = new Simulation({ blocks: BLOCKS })
  const seeder = simulation.add({ id: 'seeder', uploadRate: SEEDER_RATE })
  const receivers = Array.from({ length: count }, (_, index) =>
    simulation.add({
      id: `receiver-${index}`,
      uploadRate: uploadRates[index] ?? 60 * MiB,
      firstBlock: apart ? (index * 97 + 31) % BLOCKS : 0,
      startsAtMs: startsAtMs[index] ?? 37 * index,
    }),
  )
  for (const receiver of receivers) receiver.meet('seeder')
  simulation.after(SECOND_MS, () => {
    for (const one of receivers) for (const other of receivers) if (one !== other) one.meet(other.id)
  })
  return { simulation, seeder, receivers }
}

describe('a crowd of receivers', () => {
  for (const { receivers: count, apart, ratio } of [
    { receivers: 2, apart: true, ratio: 1.1 },
    { receivers: 8, apart: true, ratio: 1.25 },
    { receivers: 8, apart: false, ratio: 1.35 },
    { receivers: 16, apart: true, ratio: 1.35 },
  ]) {
    test(`${count} that begin ${apart ? 'apart' : 'together'} get hardly a block twice from the seeder`, () => {
      const { simulation, seeder, receivers } = crowd({ receivers: count, apart })
      const doneMs = simulation.run(10 * ONCE_MS)
      assert.ok(seeder.sentBytes <= ratio * FILE_BYTES, `the seeder sent ${seeder.sentBytes / FILE_BYTES} files`)
      assert.ok(doneMs <= ratio * ONCE_MS, `done after ${doneMs / ONCE_MS} times the time of sending one`)
      for (const { id, receivedBytes, sentBytes } of receivers) {
        assert.ok(receivedBytes <= 1.05 * FILE_BYTES, `${id} received ${receivedBytes / FILE_BYTES} files`)
        assert.ok(sentBytes > 0.2 * FILE_BYTES, `${id} gave ${sentBytes / FILE_BYTES} files`)
      }
    })
  }

  test('one that comes late gets nearly everything from the others', () => {
    const { simulation, seeder } = crowd({ receivers: 4, apart: true, startsAtMs: [0, 0, 0, ONCE_MS / 2] })
    const doneMs = simulation.run(10 * ONCE_MS)
    assert.ok(seeder.sentBytes <= 1.3 * FILE_BYTES, `the seeder sent ${seeder.sentBytes / FILE_BYTES} files`)
    assert.ok(doneMs <= 1.3 * ONCE_MS, `done after ${doneMs / ONCE_MS} times the time of sending one`)
  })

  test('receivers that can hardly send do not hold up the others', () => {
    const slow = 100 * 1024
    const { simulation, seeder } = crowd({ receivers: 2, apart: false, uploadRates: [slow, slow] })
    const doneMs = simulation.run(10 * ONCE_MS)
    assert.ok(doneMs <= 2.2 * ONCE_MS, `done after ${doneMs / ONCE_MS} times the time of sending one`)
    assert.ok(seeder.sentBytes <= 2.1 * FILE_BYTES, `the seeder sent ${seeder.sentBytes / FILE_BYTES} files`)
  })

  test('when the seeder leaves after everything was given once, the others finish', () => {
    const { simulation } = crowd({ receivers: 4, apart: true })
    simulation.after(1.3 * ONCE_MS, () => simulation.remove('seeder'))
    const doneMs = simulation.run(10 * ONCE_MS)
    assert.ok(doneMs <= 1.5 * ONCE_MS, `done after ${doneMs / ONCE_MS} times the time of sending one`)
  })
})
