/** A part of those campaigns that concern a process which goes on after a fault, or is told to end. */

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { intercept } from '../support/intercept.ts'
import { noSmallDisk } from '../support/small-disk.ts'
import { makeTempDir } from '../support/temp.ts'
import type { Campaign } from './campaign.ts'
import { databaseCalls } from './campaigns/database-calls.ts'
import { descriptors } from './campaigns/descriptors.ts'
import { fullDisks } from './campaigns/full-disks.ts'
import { serving } from './campaigns/serving.ts'
import { signals } from './campaigns/signals.ts'
import { Sample } from './sample.ts'

async function assertHolds(t: TestContext, { run, atLeast }: Campaign, oneOf: number): Promise<void> {
  const { points, violations } = await run({
    scope: t,
    folder: await makeTempDir(t),
    sample: new Sample('test', oneOf),
  })
  assert.deepEqual(violations, [])
  assert.ok(points >= Math.floor(atLeast / oneOf), `${points} points`)
}

test(
  'some full disks, alone and under a server: exit 7, and all goes on once there is room',
  { skip: noSmallDisk },
  (t) => assertHolds(t, fullDisks, 10),
)

test(
  'some calls of the database fail: the same process goes on, and nothing acknowledged is lost',
  {
    skip: intercept.why,
  },
  (t) => assertHolds(t, databaseCalls, 100),
)

test(
  'some files cannot be read while a peer is served: it is not told that the blocks are missing, and gets them',
  { skip: intercept.why },
  (t) => assertHolds(t, serving, 15),
)

test('a server without descriptors serves again once it has some', { skip: intercept.why }, (t) =>
  assertHolds(t, descriptors, 10),
)

test('signals end add, get and serve, with the exit codes that they have, and all can go on', (t) =>
  assertHolds(t, signals, 9))
