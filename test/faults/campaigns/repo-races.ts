/** Two processes reach for one repo at the same moment; the one that gets it is killed. */

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startChildModule } from '../../support/child-module.ts'
import { withCleanUp } from '../../support/clean-up.ts'
import type { Campaign, Findings } from '../campaign.ts'
import { brokenPromises } from '../repo-check.ts'

const RACES = 50

/** Opens the repo each time that it is told how long to wait for it, and says what came of that. */
const RACER = `
  const { openRepo } = await load('repo/repo')
  const { resolveLocation } = await load('repo/location')
  const { createInterface } = await import('node:readline')
  const location = resolveLocation({ repo: argument, env: {}, home: '/', cwd: '/' })
  console.log('ready')
  for await (const waitMs of createInterface({ input: process.stdin })) {
    const outcome = openRepo({ location, command: 'racer', waitMs: Number(waitMs) })
    console.log(await outcome.then(() => 'opened', (error) => error.code))
  }`

const TAKE_OVER_MS = 30_000

export const repoRaces: Campaign = {
  name: 'repo-races',
  title: 'two processes race for one repo, the holder is killed: never two of them hold it, and the other gets it',
  atLeast: RACES,
  run: async ({ folder, sample }) => {
    const findings: Findings = { points: 0, violations: [] }
    for (let race = 0; race < sample.count(RACES); race++) {
      const problems = await runRace(join(folder, String(race)))
      findings.points++
      findings.violations.push(...problems.map((problem) => `race ${race}: ${problem}`))
    }
    return findings
  },
}

async function runRace(repo: string): Promise<string[]> {
  return await withCleanUp(async (scope) => {
    const start = () => new Racer(startChildModule(scope, RACER, { argument: repo }))
    const racers = [start(), start()]
    await Promise.all(racers.map((racer) => racer.nextLine()))
    const outcomes = await Promise.all(racers.map((racer) => racer.open(0)))
    const holders = racers.filter((_, index) => outcomes[index] === 'opened')
    if (holders.length !== 1) return [`the outcomes are ${outcomes.join(' and ')}`]
    await holders[0]!.kill()
    const other = racers.find((racer) => racer !== holders[0])!
    const outcome = await other.open(TAKE_OVER_MS)
    if (outcome !== 'opened') return [`after the holder was killed the other gets "${outcome}"`]
    await other.kill()
    return await brokenPromises(repo)
  })
}

class Racer {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>

  constructor(child: ChildProcess) {
    this.#child = child
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  }

  async nextLine(): Promise<string> {
    return (await this.#lines.next()).value ?? 'nothing: it has ended'
  }

  async open(waitMs: number): Promise<string> {
    this.#child.stdin!.write(`${waitMs}\n`)
    return await this.nextLine()
  }

  async kill(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}
