import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, lstat, mkdir, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { claimSocket, findSocket, type SocketPlaces } from '../../src/rpc/socket.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { makeTempDir } from '../support/temp.ts'

const userId = process.getuid?.()

interface Site {
  folder: string
  repo: string
  places: SocketPlaces
}

/** A repo whose path has about `pathBytes` bytes, or is as short as it can be. */
async function makeSite(t: TestContext, pathBytes = 0): Promise<Site> {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'r'.repeat(Math.max(1, pathBytes - folder.length)))
  const runtimeDir = join(folder, 'run')
  for (const made of [repo, runtimeDir]) await mkdir(made, { mode: 0o700 })
  return { folder, repo, places: { userId, runtimeDir, tempDir: folder } }
}

async function listenAt(t: TestContext, { repo, places }: Site): Promise<Server> {
  const claim = await claimSocket(repo, places)
  const server = createServer((socket) => socket.end('here'))
  await claim.listen(server)
  cleanUpAfter(t, async () => {
    await claim.release()
    server.close()
  })
  return server
}

async function readFrom(path: string): Promise<string> {
  const socket = connect(path)
  let text = ''
  socket.setEncoding('utf8').on('data', (part) => {
    text += part
  })
  await once(socket, 'close')
  return text
}

test('the socket is in the repo, for its owner alone, and gone afterwards', async (t) => {
  const site = await makeSite(t)
  assert.equal(await findSocket(site.repo, site.places), undefined)
  const claim = await claimSocket(site.repo, site.places)
  const server = createServer((socket) => socket.end('here'))
  await claim.listen(server)
  const path = await findSocket(site.repo, site.places)
  assert.equal(path, join(site.repo, 'api.sock'))
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal(await readFrom(path), 'here')
  await claim.release()
  server.close()
  assert.equal(await findSocket(site.repo, site.places), undefined)
})

test('a repo that is not there has no socket', async (t) => {
  const { folder, places } = await makeSite(t)
  assert.equal(await findSocket(join(folder, 'nowhere'), places), undefined)
})

test('a repo that cannot be looked into is named as that', async (t) => {
  const { folder, places } = await makeSite(t)
  await writeFile(join(folder, 'file'), '')
  await assert.rejects(findSocket(join(folder, 'file', 'repo'), places), {
    code: 'io',
    message: `Cannot look into the repo ${folder}/file/repo: part of the path is not a folder (ENOTDIR)`,
  })
})

test('a path that is too long leads to a private folder, whatever the finder has for one', async (t) => {
  const site = await makeSite(t, 150)
  await listenAt(t, site)
  const target = await readlink(join(site.repo, 'api.sock'))
  assert.equal((await stat(join(site.folder, 'run/p2p'))).mode & 0o777, 0o700)
  assert.match(target, /run\/p2p\/[0-9a-f]{32}\.sock$/)
  assert.equal((await stat(target)).mode & 0o777, 0o600)
  const elsewhere = { ...site.places, runtimeDir: undefined, tempDir: '/nowhere' }
  const found = await findSocket(site.repo, elsewhere)
  assert.equal(found, target)
  assert.equal(await readFrom(found), 'here')
})

test('without a runtime folder, or with one that is missing, it is in the folder for temporary files', async (t) => {
  for (const runtimeDir of [undefined, '/nowhere']) {
    const site = await makeSite(t, 150)
    await listenAt(t, { ...site, places: { ...site.places, runtimeDir } })
    assert.match(await readlink(join(site.repo, 'api.sock')), new RegExp(`^${site.folder}/p2p-${userId}/`))
  }
})

test('a repo has one socket, by whatever path it is reached', async (t) => {
  const site = await makeSite(t, 150)
  const alias = join(site.folder, 'alias')
  await symlink(site.repo, alias)
  await listenAt(t, site)
  assert.equal(await readFrom((await findSocket(alias, site.places)) ?? ''), 'here')
})

test('what an earlier holder has left is replaced', async (t) => {
  for (const pathBytes of [0, 150]) {
    const site = await makeSite(t, pathBytes)
    const entry = join(site.repo, 'api.sock')
    await writeFile(entry, 'left behind')
    assert.equal(await findSocket(site.repo, site.places), undefined)
    await listenAt(t, site)
    assert.equal(await readFrom((await findSocket(site.repo, site.places)) ?? ''), 'here')
  }
})

const asOther = { skip: userId === undefined ? 'there are no user ids here' : false }

test('a socket of another user is refused, by finders and holders, and left alone', asOther, async (t) => {
  const site = await makeSite(t)
  await listenAt(t, site)
  // To anyone else the socket of this test is another user's.
  const places = { ...site.places, userId: (userId ?? 0) + 1 }
  await assert.rejects(findSocket(site.repo, places), { code: 'io', message: /api\.sock belongs to another user/ })
  await assert.rejects(claimSocket(site.repo, places), { code: 'io', message: /api\.sock belongs to another user/ })
  assert.ok((await lstat(join(site.repo, 'api.sock'))).isSocket())
})

test('a folder that others can get at is refused', async (t) => {
  const site = await makeSite(t, 150)
  const shared = join(site.folder, 'run/p2p')
  await mkdir(shared)
  await chmod(shared, 0o777)
  await assert.rejects(claimSocket(site.repo, site.places), {
    code: 'io',
    message: /run\/p2p is not a folder of yours/,
  })
  await symlink(join(shared, 'x.sock'), join(site.repo, 'api.sock'))
  await assert.rejects(findSocket(site.repo, site.places), { code: 'io', message: /run\/p2p is not a folder of yours/ })
})

test('a link in the place of the private folder is refused', async (t) => {
  const site = await makeSite(t, 150)
  const elsewhere = join(site.folder, 'elsewhere')
  await mkdir(elsewhere, { mode: 0o700 })
  await symlink(elsewhere, join(site.folder, 'run/p2p'))
  await assert.rejects(claimSocket(site.repo, site.places), { code: 'io' })
})
