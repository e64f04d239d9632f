/** One file call of the database fails in a process that goes on: what was acknowledged before and after stays. */

import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { mapBounded } from '../../../src/common/concurrency.ts'
import { openDatabase } from '../../../src/database/database.ts'
import { runChildModule } from '../../support/child-module.ts'
import {
  buildIntercept,
  type CallName,
  CHANGING_CALLS,
  type Fault,
  firedAt,
  interceptEnv,
  readCalls,
} from '../calls/intercept.ts'
import type { Campaign, Findings, Ground } from '../campaign.ts'

const RUNS_AT_ONCE = 2

const KINDS: { errno: NonNullable<Fault['errno']>; counted: readonly CallName[] }[] = [
  { errno: 'ENOSPC', counted: CHANGING_CALLS },
  { errno: 'EIO', counted: ['open', 'read', ...CHANGING_CALLS] },
  { errno: 'EMFILE', counted: ['open', 'create'] },
]

/**
 * Writes enough for logs to be begun and tables to be made; what fails is tried again, up to three times, as a server's
 * callers do. Prints what was acknowledged, and the codes of what has failed.
 */
const PROGRAM = `
  const { openDatabase } = await load('database/database')
  const database = await openDatabase(argument).catch(() => {
    // Whoever opens it reports that.
    console.log(JSON.stringify({ acknowledged: [], failures: [] }))
    process.exit()
  })
  const space = database.space('s')
  const acknowledged = []
  const failures = []
  for (let index = 0; index < 14; index++) {
    for (let attempt = 1; ; attempt++) {
      try {
        await space.put(Buffer.from(String(index)), Buffer.alloc(700_000, index), { sync: index % 3 === 0 })
        acknowledged.push(index)
        break
      } catch (error) {
        failures.push(error.code)
        if (attempt === 3) throw error
      }
    }
  }
  await database.close()
  console.log(JSON.stringify({ acknowledged, failures }))`

export const databaseCalls: Campaign = {
  name: 'database-calls',
  title: 'ENOSPC, EIO, EMFILE at the N-th call of the database: the same process goes on, and nothing is lost',
  atLeast: 1000,
  run: async (ground) => {
    const library = await buildIntercept(ground.folder)
    const findings: Findings = { points: 0, violations: [], notes: [] }
    const calls = await runWith(ground, library, 'whole', undefined)
    const points = KINDS.flatMap(({ errno, counted }) => {
      const count = calls.calls.filter(({ name }) => counted.includes(name)).length
      return Array.from({ length: count }, (_, index) => ({ errno, counted, at: index + 1 }))
    })
    let failures = 0
    await mapBounded(ground.sample.pick('database-calls', points), RUNS_AT_ONCE, async (point) => {
      const { errno, at } = point
      const run = await runWith(ground, library, `${errno}-${at}`, point)
      if (run.fired === undefined) return
      findings.points++
      failures += run.failures.length
      const what = `${errno} at call ${at} (${run.fired.second} of ${run.fired.path})`
      findings.violations.push(...run.problems.map((problem) => `${what}: ${problem}`))
    })
    findings.notes!.push(`${failures} writes were refused, and done when they were tried again`)
    return findings
  },
}

async function runWith(
  { scope, folder }: Ground,
  library: string,
  name: string,
  point: { errno: NonNullable<Fault['errno']>; counted: readonly CallName[]; at: number } | undefined,
) {
  const place = join(folder, name)
  await mkdir(place)
  const [database, log] = [join(place, 'database'), join(place, 'calls')]
  const fault = point && { counted: point.counted, fault: { at: point.at, errno: point.errno } }
  const env = interceptEnv(library, { watched: [database], log, ...fault })
  const output = await runChildModule(scope, PROGRAM, { argument: database, env }).catch(() => undefined)
  const calls = await readCalls(log)
  const fired = firedAt(calls)
  const problems: string[] = []
  let failures: string[] = []
  if (output !== undefined) {
    const told = JSON.parse(output) as { acknowledged: number[]; failures: string[] }
    failures = told.failures
    const expected = point?.errno === 'ENOSPC' ? 'disk-full' : 'io'
    if (failures.some((code) => code !== expected)) problems.push(`it failed as ${failures}`)
    problems.push(...(await lost(database, told.acknowledged)))
  } else problems.push('it did not go on')
  await rm(place, { recursive: true })
  return { calls, fired, failures, problems }
}

async function lost(folder: string, acknowledged: readonly number[]): Promise<string[]> {
  const database = await openDatabase(folder)
  try {
    const values = await database.space('s').getMany(acknowledged.map((index) => Buffer.from(String(index))))
    return acknowledged.filter((_, place) => values[place] === undefined).map((index) => `record ${index} is lost`)
  } finally {
    await database.close()
  }
}
