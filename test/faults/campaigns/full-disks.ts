/** A disk that is really full under a repo: each command by itself, and through a server that stays up meanwhile. */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { KiB, MiB } from '../../../src/common/units.ts'
import { writeRandomFile } from '../../support/bytes.ts'
import { withCleanUp } from '../../support/clean-up.ts'
import { addPath, runP2p, type Serve, startServe } from '../../support/processes.ts'
import { noSmallDisk, SmallDisk } from '../../support/small-disk.ts'
import { makeTempDir } from '../../support/temp.ts'
import type { Campaign, Findings, Ground } from '../campaign.ts'
import { brokenPromises } from '../repo-check.ts'

const DISK_MIB = 64
const DISK_FULL = 7

/** What is left on the disk when a command begins: of any, something else of it is the first that fails. */
const ROOMS = [0, 12 * KiB, 72 * KiB, 600 * KiB, 2 * MiB]
const COMMANDS = ['add', 'get', 'pin add', 'car import'] as const
const HOLDERS = ['by itself', 'through a server'] as const

interface Point {
  command: (typeof COMMANDS)[number]
  room: number
}

/** What is written to a disk, and who has it. */
interface Source {
  folder: string
  repo: string
  seeder: Serve
}

export const fullDisks: Campaign = {
  name: 'full-disks',
  title: 'add, get, pin add, car import on a full disk, alone and through a server: exit 7, and all goes on with room',
  atLeast: ROOMS.length * COMMANDS.length * HOLDERS.length,
  run: async (ground) => {
    if (noSmallDisk !== false) throw new Error(`It ${noSmallDisk}`)
    const findings: Findings = { points: 0, violations: [] }
    const seederRepo = join(ground.folder, 'seeder')
    const seeder = await startServe(ground.scope, seederRepo)
    const source = { folder: ground.folder, repo: seederRepo, seeder }
    for (const holder of HOLDERS) {
      const all = COMMANDS.flatMap((command) => ROOMS.map((room) => ({ command, room })))
      const points = ground.sample.pick(`full-disks ${holder}`, all)
      const problems = await withCleanUp((scope) =>
        tryPoints({ ...ground, scope }, source, points, holder === 'through a server'),
      )
      findings.points += points.length
      findings.violations.push(...problems.map((problem) => `${holder}: ${problem}`))
    }
    return findings
  },
}

async function tryPoints(
  { scope, folder }: Ground,
  source: Source,
  points: Point[],
  serves: boolean,
): Promise<string[]> {
  const disk = await SmallDisk.make(scope, await makeTempDir(scope), DISK_MIB)
  const repo = join(disk.folder, 'repo')
  const early = join(folder, 'early')
  await writeRandomFile(early, 'early', MiB + 1)
  const earlyCid = await addPath(repo, early)
  const server = serves ? await startServe(scope, repo) : undefined
  const problems: string[] = []
  const pinned: string[] = []
  for (const { command, room } of points) {
    const cid = await tryPoint(source, disk, { command, room }, problems)
    if (cid !== undefined) pinned.push(cid)
    if (server === undefined) problems.push(...(await brokenPromises(repo, [earlyCid, ...pinned])))
    if (pinned.length > 5) await giveUp(repo, pinned, problems)
  }
  if (server === undefined) return problems
  await disk.fill()
  const copy = join(folder, 'early.copy')
  const args = ['get', earlyCid, '-o', copy, '--force', '--peer', server.multiaddr]
  const { code, stderr } = await runP2p(args, { repo: join(folder, 'receiver') })
  if (code !== 0 || !(await readFile(copy)).equals(await readFile(early))) {
    problems.push(`with a full disk it does not serve what it has: ${stderr}`)
  }
  await disk.relieve()
  await server.stop()
  return [...problems, ...(await brokenPromises(repo, [earlyCid, ...pinned]))]
}

/** Fills the disk, runs the command, makes room, and runs it again. @returns the root that is pinned then */
async function tryPoint(
  source: Source,
  disk: SmallDisk,
  { command, room }: Point,
  problems: string[],
): Promise<string | undefined> {
  const what = `${command} with ${room} bytes left`
  const repo = join(disk.folder, 'repo')
  const { args, pins } = await prepare(source, command, `${command.replace(' ', '-')}-${room}`)
  await disk.fill(room)
  const full = await runP2p(args, { repo })
  await disk.relieve()
  if (full.code !== DISK_FULL || !/disk is full[\s\S]*Free some space/.test(full.stderr)) {
    problems.push(`${what}: exit code ${full.code}: ${full.stderr}`)
  }
  if (full.stdout.byteLength > 0) problems.push(`${what}: it prints ${full.stdout}`)
  const roomy = await runP2p(args, { repo })
  if (roomy.code === 0) return pins
  problems.push(`${what}: with room it ends with ${roomy.code}: ${roomy.stderr}`)
  return undefined
}

/** Content that nobody has but the seeder, and a command that is about it. */
async function prepare({ folder, repo, seeder }: Source, command: Point['command'], name: string) {
  const path = join(folder, name)
  await writeRandomFile(path, name, 3 * MiB + 1)
  const cid = await addPath(repo, path)
  const peer = ['--peer', seeder.multiaddr]
  switch (command) {
    case 'add':
      return { args: ['add', path], pins: cid }
    case 'get':
      return { args: ['get', cid, '-o', `${path}.copy`, '--force', '--copy', ...peer], pins: undefined }
    case 'pin add':
      return { args: ['pin', 'add', cid, ...peer], pins: cid }
    case 'car import': {
      const car = `${path}.car`
      const { code, stderr } = await runP2p(['car', 'export', cid, '-o', car, '--force'], { repo })
      if (code !== 0) throw new Error(stderr)
      return { args: ['car', 'import', car], pins: cid }
    }
  }
}

/** Frees what is pinned, so that the disk can stay small. */
async function giveUp(repo: string, pinned: string[], problems: string[]): Promise<void> {
  for (const args of [...pinned.splice(0).map((cid) => ['pin', 'rm', cid]), ['gc']]) {
    const { code, stderr } = await runP2p(args, { repo })
    if (code !== 0) problems.push(`p2p ${args.join(' ')} ends with ${code}: ${stderr}`)
  }
}
