import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { P2PError } from '../../src/common/errors.ts'
import { type RepoLocation, resolveLocation } from '../../src/repo/location.ts'
import { openRepo } from '../../src/repo/repo.ts'
import { runChildModule, startChildModule } from '../support/child-module.ts'
import { makeTempDir } from '../support/temp.ts'

async function makeLocation(t: TestContext): Promise<RepoLocation> {
  const folder = join(await makeTempDir(t), 'deep', 'repo')
  return resolveLocation({ repo: folder, env: {}, home: '/', cwd: '/' })
}

/** Opens the repo, says so, and closes it when a line arrives on stdin. */
const HOLDER_PROGRAM = `
  import { once } from 'node:events'
  const { openRepo } = await load('repo/repo')
  const repo = await openRepo({ location: argument.location, command: 'p2p serve', waitMs: 60_000 })
  process.stdout.write('open')
  await once(process.stdin, 'data')
  await repo.close()
  process.exit()`

function isError(code: string, ...parts: RegExp[]): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof P2PError, String(error))
    assert.equal(error.code, code)
    for (const part of parts) assert.match(`${error.message}\n${error.hint}`, part)
    return true
  }
}

test('a folder in which nothing can be made is told at once', { skip: process.platform !== 'linux' }, async () => {
  const location = resolveLocation({ repo: '/proc/deep/repo', env: {}, home: '/', cwd: '/' })
  await assert.rejects(openRepo({ location, command: 'p2p add', waitMs: 0 }), isError('io', /\/proc/))
})

test('the first command makes the repo, the next one finds it', async (t) => {
  const location = await makeLocation(t)
  const repo = await openRepo({ location, command: 'p2p add', waitMs: 0 })
  assert.equal((await stat(location.dataDir)).mode & 0o777, 0o700)
  assert.equal(await readFile(location.versionFile, 'utf8'), '3\n')
  assert.deepEqual((await readdir(location.dataDir)).sort(), ['blocks', 'database', 'holder.json', 'version'])
  const holder = JSON.parse(await readFile(location.holderFile, 'utf8'))
  assert.equal(holder.pid, process.pid)
  assert.equal(holder.command, 'p2p add')
  const key = await repo.identity()
  assert.equal(await repo.identity(), key)
  await repo.database.space('s').put(Buffer.from('k'), Buffer.from('v'))
  await repo.close()
  assert.deepEqual((await readdir(location.dataDir)).sort(), ['blocks', 'database', 'identity.key', 'version'])

  const again = await openRepo({ location, command: 'p2p get', waitMs: 0 })
  assert.ok((await again.identity()).equals(key))
  assert.equal(await again.database.space('s').has(Buffer.from('k')), true)
  assert.equal(again.config.bootstrap.length, 4)
  await again.close()
})

test('a repo of an unknown version is refused and left untouched', async (t) => {
  const location = await makeLocation(t)
  await mkdir(location.dataDir, { recursive: true })
  for (const content of ['4\n', '1\n', '', 'one']) {
    await writeFile(location.versionFile, content)
    await assert.rejects(openRepo({ location, command: 'p2p add', waitMs: 0 }), isError('repo-version', /version "/))
    assert.deepEqual(await readdir(location.dataDir), ['version'])
    assert.equal(await readFile(location.versionFile, 'utf8'), content)
  }
})

test('where there has to be a repo none is made', async (t) => {
  const location = await makeLocation(t)
  const opening = openRepo({ location, command: 'p2p verify', waitMs: 0, mustExist: true })
  await assert.rejects(opening, isError('not-found', /no repo at .*deep/, /mounted/))
  await assert.rejects(stat(location.dataDir), { code: 'ENOENT' })
})

test('blocks of which no version is known are not taken for a new repo', async (t) => {
  const location = await makeLocation(t)
  await mkdir(join(location.blocksDir, 'packs'), { recursive: true })
  await assert.rejects(
    openRepo({ location, command: 'p2p gc', waitMs: 0 }),
    isError('io', /version has gone/, /backup/),
  )
  assert.deepEqual(await readdir(location.dataDir), ['blocks'])
})

test('a bad config makes no repo', async (t) => {
  const location = { ...(await makeLocation(t)), configFile: join(await makeTempDir(t), 'config.json') }
  await writeFile(location.configFile, '{')
  await assert.rejects(openRepo({ location, command: 'p2p add', waitMs: 0 }), isError('bad-config'))
  await assert.rejects(stat(location.dataDir), { code: 'ENOENT' })
})

test('a repo that cannot be made says so', async (t) => {
  const location = await makeLocation(t)
  await mkdir(join(location.dataDir, '..'))
  await writeFile(location.dataDir, 'a file')
  await assert.rejects(openRepo({ location, command: 'p2p add', waitMs: 0 }), isError('io', /deep\/repo/))
})

test('a held repo names its holder, at once or after the wait', async (t) => {
  const location = await makeLocation(t)
  const child = startChildModule(t, HOLDER_PROGRAM, { argument: { location } })
  await once(child.stdout!, 'data')
  const holder = new RegExp(`held by \`p2p serve\` \\(pid ${child.pid}\\)`)
  const messages: string[] = []
  const options = { location, command: 'p2p add', onWait: (message: string) => messages.push(message) }
  await assert.rejects(openRepo({ ...options, waitMs: 0 }), isError('repo-held', holder, /--repo/))
  assert.deepEqual(messages, [])
  await assert.rejects(openRepo({ ...options, waitMs: 300 }), isError('repo-held', holder))
  assert.equal(messages.length, 1)
  assert.match(messages[0]!, holder)
  assert.match(messages[0]!, /waiting up to 0.3 s/)
})

test('a waiting command goes on when the holder ends, killed or not', async (t) => {
  const location = await makeLocation(t)
  for (const end of ['close', 'SIGKILL'] as const) {
    const child = startChildModule(t, HOLDER_PROGRAM, { argument: { location } })
    await once(child.stdout!, 'data')
    const onWait = () => void (end === 'close' ? child.stdin!.write('\n') : child.kill('SIGKILL'))
    const repo = await openRepo({ location, command: 'p2p add', waitMs: 60_000, onWait })
    assert.equal(JSON.parse(await readFile(location.holderFile, 'utf8')).pid, process.pid)
    await repo.close()
  }
})

test('waiting ends with the reason of the signal', async (t) => {
  const location = await makeLocation(t)
  const repo = await openRepo({ location, command: 'p2p serve', waitMs: 0 })
  const controller = new AbortController()
  const reason = new Error('Ctrl-C')
  const waiting = openRepo({
    location,
    command: 'p2p add',
    waitMs: 60_000,
    signal: controller.signal,
    onWait: () => controller.abort(reason),
  })
  await assert.rejects(waiting, (error) => error === reason)
  await repo.close()
})

test('processes that make the same repo at once get the same one, one after the other', async (t) => {
  const location = await makeLocation(t)
  const program = `
    const { openRepo } = await load('repo/repo')
    const repo = await openRepo({ location: argument.location, command: 'p2p add', waitMs: 60_000 })
    const key = await repo.identity()
    const space = repo.database.space('s')
    const count = Number(Buffer.from((await space.get(Buffer.from('count'))) ?? Buffer.from('0')).toString())
    await space.put(Buffer.from('count'), Buffer.from(String(count + 1)))
    await repo.close()
    process.stdout.write(JSON.stringify([Buffer.from(key.raw).toString('hex'), count]))`
  const runs = Array.from({ length: 5 }, () => runChildModule(t, program, { argument: { location } }))
  const results = (await Promise.all(runs)).map((output) => JSON.parse(output) as [string, number])
  assert.equal(new Set(results.map(([key]) => key)).size, 1)
  assert.deepEqual(results.map(([, count]) => count).sort(), [0, 1, 2, 3, 4])
})

test('a key that others can read stops only what needs it', async (t) => {
  const location = await makeLocation(t)
  const repo = await openRepo({ location, command: 'p2p serve', waitMs: 0 })
  await repo.identity()
  await repo.close()
  await chmod(location.identityFile, 0o644)
  const again = await openRepo({ location, command: 'p2p add', waitMs: 0 })
  await assert.rejects(again.identity(), isError('bad-config', /chmod 600/))
  await again.close()
})
