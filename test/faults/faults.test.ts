import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { intercept } from '../support/intercept.ts'
import { makeTempDir } from '../support/temp.ts'
import type { SystemCall } from './calls/intercept.ts'
import { addToNewRepo } from './jobs/add.ts'
import { type PreparedJob, prepareJobs } from './jobs/job.ts'
import { runJob } from './jobs/run-job.ts'
import { materialise, stateAfter } from './power-loss/crash-state.ts'
import { Disk } from './power-loss/disk.ts'
import { Sample } from './sample.ts'

const skip = intercept.why

async function prepare(t: TestContext): Promise<{ job: PreparedJob; library: string; folder: string }> {
  const folder = await makeTempDir(t)
  const [job] = await prepareJobs({ scope: t, folder, sample: new Sample('test', 1) }, [addToNewRepo])
  return { job: job!, library: await intercept.library(t), folder: join(folder, 'site') }
}

test('a process is killed before the call that was chosen, and what it left holds', { skip }, async (t) => {
  const { job, library, folder } = await prepare(t)
  const options = { library, folder, counted: ['rename'], fault: { at: 4 } } as const
  await runJob(job, options, async ({ calls, fired, code, signal, site, stdout }) => {
    assert.deepEqual({ code, signal, call: fired?.second }, { code: null, signal: 'SIGKILL', call: 'rename' })
    assert.equal(calls.filter(({ name }) => name === 'rename').length, 3)
    assert.deepEqual(await job.check(site, { code, stdout: stdout.toString() }), [])
  })
})

test('a call fails with the error that was chosen, also in the database', { skip }, async (t) => {
  const { job, library, folder } = await prepare(t)
  const fault = { at: 1, errno: 'ENOSPC' } as const
  await runJob(job, { library, folder, counted: ['fdatasync'], fault }, async ({ fired, code, stderr, site }) => {
    assert.match(fired?.path ?? '', /\/database\//)
    assert.equal(code, 7, stderr)
    assert.match(stderr, /the disk is full/)
    assert.deepEqual(await job.check(site, { code, stdout: '' }), [])
  })
})

/** A call as it is recorded. */
function call(name: SystemCall['name'], path: string, rest: Partial<SystemCall> = {}): SystemCall {
  const inode = path
  const data = Buffer.alloc(0)
  return { number: 0, name, result: 0, errno: 0, inode, mtimeNs: 0n, offset: 0, path, second: '', data, ...rest }
}

test('a power cut takes what was not synced: content by its file, names by their folder', async (t) => {
  const site = join(await makeTempDir(t), 'site')
  await mkdir(site)
  await writeFile(join(site, 'old'), 'old')
  const start = [
    call('create', `${site}/new`),
    call('write', `${site}/new`, { data: Buffer.from('new') }),
    call('open', site),
  ]
  const cases: [what: string, calls: SystemCall[], left: Record<string, string>][] = [
    ['nothing is synced', [], { old: 'old' }],
    ['the file is synced', [call('fsync', `${site}/new`)], { old: 'old' }],
    ['the folder is synced', [call('fsync', site)], { old: 'old', new: '' }],
    ['both are synced', [call('fdatasync', `${site}/new`), call('fsync', site)], { old: 'old', new: 'new' }],
    [
      'a rename is not synced',
      [call('fdatasync', `${site}/new`), call('fsync', site), call('rename', `${site}/new`, { second: `${site}/old` })],
      { old: 'old', new: 'new' },
    ],
    [
      'a rename is synced',
      [call('fdatasync', `${site}/new`), call('rename', `${site}/new`, { second: `${site}/old` }), call('fsync', site)],
      { old: 'new' },
    ],
  ]
  for (const [what, calls, left] of cases) {
    const disk = await Disk.load(site)
    for (const each of [...start, ...calls]) disk.apply(each)
    const state = stateAfter(disk.root, { content: 'lost', entries: 'lost', chance: () => 0 })
    const place = join(await makeTempDir(t), 'left')
    await materialise(state, place)
    const names = state.kind === 'folder' ? state.entries.map(([name]) => name) : []
    const found = await Promise.all(names.map(async (name) => [name, await readFile(join(place, name), 'utf8')]))
    assert.deepEqual(Object.fromEntries(found), left, what)
  }
})

test('a sample is the same for the same seed, and has its part of all', () => {
  const points = Array.from({ length: 95 }, (_, index) => index)
  const picked = new Sample('a', 10).pick('test', points)
  assert.equal(picked.length, 10)
  assert.deepEqual(new Sample('a', 10).pick('test', points), picked)
  assert.notDeepEqual(new Sample('b', 10).pick('test', points), picked)
  assert.deepEqual(new Sample('b', 1).pick('test', points), points)
})
