/** SIGINT and SIGTERM, alone and followed by a second one, to add, get and serve at work. */

import { join } from 'node:path'
import { KiB, MiB, SECOND_MS } from '../../../src/common/units.ts'
import { randomBytes, writeRandomFile } from '../../support/bytes.ts'
import {
  addPath,
  type FinishedP2p,
  type P2pEvent,
  P2pProcess,
  runP2p,
  type Serve,
  startServe,
} from '../../support/processes.ts'
import type { Campaign, Findings, Ground } from '../campaign.ts'
import { brokenPromises } from '../repo-check.ts'

const COMMANDS = ['add', 'get', 'serve'] as const
const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const
const SECONDS = [undefined, 'SIGINT', 'SIGTERM'] as const
/** How far it has come when the signal does: so much of its work is done. */
const MOMENTS = [0, 1, 2]

const SIZE = 6 * MiB
const DEADLINE_MS = 10 * SECOND_MS

interface Point {
  command: (typeof COMMANDS)[number]
  signal: keyof typeof SIGNALS
  second: (typeof SECONDS)[number]
  moment: number
}

/** What is downloaded: from whom, and how slowly, so that nothing ends by itself. */
interface Source {
  cid: string
  seeder: Serve
}

export const signals: Campaign = {
  name: 'signals',
  title: 'SIGINT, SIGTERM and a second one in add, get and serve: ends within 10 s, exit 130, 143 or 0, all can go on',
  atLeast: COMMANDS.length * 2 * SECONDS.length * MOMENTS.length,
  run: async (ground) => {
    const all = COMMANDS.flatMap((command) =>
      (Object.keys(SIGNALS) as Point['signal'][]).flatMap((signal) =>
        SECONDS.flatMap((second) => MOMENTS.map((moment): Point => ({ command, signal, second, moment }))),
      ),
    )
    const source = await makeSource(ground)
    const findings: Findings = { points: 0, violations: [] }
    for (const [index, point] of ground.sample.pick('signals', all).entries()) {
      const { command, signal, second, moment } = point
      const what = `${command}, ${signal}${second === undefined ? '' : ` and ${second}`} at moment ${moment}`
      const problems = await tryPoint(ground, source, point, join(ground.folder, `repo-${index}`))
      findings.points++
      findings.violations.push(...problems.map((problem) => `${what}: ${problem}`))
    }
    return findings
  },
}

async function makeSource({ scope, folder }: Ground): Promise<Source> {
  const [repo, file] = [join(folder, 'seeder'), join(folder, 'file')]
  await writeRandomFile(file, 'signals', SIZE)
  const cid = await addPath(repo, file)
  return { cid, seeder: await startServe(scope, repo) }
}

async function tryPoint({ folder }: Ground, source: Source, point: Point, repo: string): Promise<string[]> {
  const { command, signal, second } = point
  const { running, beside, again } = await begin(folder, source, point, repo)
  const sentAt = performance.now()
  running.kill(signal)
  if (second !== undefined) running.kill(second)
  const { code, stderr, stdout } = await running.finished
  const took = performance.now() - sentAt
  // It goes on without the server.
  beside?.kill('SIGKILL')
  await beside?.finished
  const problems = await brokenPromises(repo)
  if (took > DEADLINE_MS) problems.push(`it took ${Math.round(took)} ms`)
  // Two signals that come at once may be taken in either order.
  const asked = [signal, second].flatMap((each) => (each === undefined ? [] : SIGNALS[each]))
  const allowed = command === 'serve' ? [0, ...(second === undefined ? [] : asked)] : asked
  if (code === null || !allowed.includes(code)) problems.push(`exit code ${code}: ${stderr}${stdout}`)
  const { code: codeAgain, stderr: stderrAgain } = await again()
  if (codeAgain !== 0) problems.push(`the same again ends with ${codeAgain}: ${stderrAgain}`)
  return [...problems, ...(await brokenPromises(repo))]
}

/** Starts the command, and returns when it has come as far as it has to; `again` does the same to its end. */
async function begin(
  folder: string,
  { cid, seeder }: Source,
  { command, moment }: Point,
  repo: string,
): Promise<{ running: P2pProcess; beside?: P2pProcess; again: () => Promise<FinishedP2p> }> {
  const isFar = ({ bytes }: P2pEvent) => Number(bytes) > moment * MiB
  switch (command) {
    case 'add': {
      const running = new P2pProcess(['add', '-', '--json'], { repo, stdin: endless() })
      await running.waitForEvent('add-progress', isFar)
      return { running, again: () => runP2p(['add', join(folder, 'file')], { repo }) }
    }
    case 'get': {
      const slow = { P2P_LIMIT_DOWN: '2MiB', P2P_LIMIT_LAN: '1' }
      const args = ['get', cid, '-o', `${repo}.copy`, '--peer', seeder.multiaddr]
      const running = new P2pProcess([...args, '--json'], { repo, env: slow })
      await running.waitForEvent('progress', isFar)
      return { running, again: () => runP2p(args, { repo }) }
    }
    case 'serve': {
      const listen = ['--listen', '/ip4/127.0.0.1/tcp/0']
      const running = new P2pProcess(['serve', ...listen, '--json'], { repo })
      await running.waitForEvent('ready')
      // What it does meanwhile: an add that does not end, one that has ended, or what there is at the start.
      const beside = new P2pProcess(['add', '-', '--json'], { repo, stdin: moment === 1 ? endless() : [] })
      if (moment === 1) await beside.waitForEvent('add-progress', ({ bytes }) => Number(bytes) > 0)
      if (moment === 2) await beside.finished
      return { running, beside, again: () => runP2p(['pin', 'ls'], { repo }) }
    }
  }
}

function* endless(): Generator<Uint8Array> {
  for (let index = 0; ; index++) yield randomBytes(`endless ${index}`, 64 * KiB)
}
