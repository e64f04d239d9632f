/** `p2p share` and what looks after a server, as a user runs them: the built binary. */

import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { lastEvent, type P2pEvent, runP2p, startP2p } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'
import { until } from '../support/until.ts'

const LISTEN = ['--listen', '/ip4/127.0.0.1/tcp/0']
const GONE = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'

test('a link is all that others need, and whoever shares goes on when the server ends', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const [film, notes] = [join(folder, 'a film.mkv'), join(folder, 'notes.txt')]
  await writeFile(film, 'moving pictures')
  await writeFile(notes, 'written words')

  const first = startP2p(t, ['share', film, ...LISTEN, '--json'], { repo })
  const { link, cid, path, multiaddrs } = (await first.waitForEvent('link')) as P2pEvent & Record<string, string>
  assert.equal(link, `ipfs://${cid}?filename=a%20film.mkv&provider=${multiaddrs?.[0]}`)
  assert.equal(path, film)

  // With a provider that is gone first, one that is none, and what this p2p does not know.
  const [root, query = ''] = link!.split('?')
  const inside = join(folder, 'inside')
  await mkdir(inside)
  const hostile = `${root}?provider=${GONE}&provider=nonsense&x=1&${query.replace(/filename=[^&]*/, 'filename=..%2F..%2F.evil%1B[2J')}`
  const got = await runP2p(['get', hostile], { repo: join(folder, 'other'), cwd: inside })
  assert.equal(got.code, 0, got.stderr)
  assert.match(got.stderr, /provider "nonsense" in the link is not the address of a peer/)
  assert.deepEqual(await readdir(inside), ['evil_[2J'])
  assert.equal(await readFile(join(inside, 'evil_[2J'), 'utf8'), 'moving pictures')

  const second = startP2p(t, ['share', notes, ...LISTEN], { repo })
  await until(t, () => second.stdoutBytes > 0)
  const added = await runP2p(['add', notes], { repo })
  assert.match(added.stdout.toString(), /^baf\w+\n$/)
  const expectedLink = `ipfs://${added.stdout.toString().trim()}?filename=notes.txt&provider=${multiaddrs?.[0]}`
  assert.ok(added.stderr.includes(`\n${expectedLink}\n`), added.stderr)

  const status = await runP2p(['status'], { repo })
  assert.match(status.stdout.toString(), /^2 roots, 28 B$/m)
  assert.match(status.stdout.toString(), /^`p2p share` \d+\.\d+\.\d+ \(pid \d+\) has run for .*$/m)
  assert.ok(status.stdout.toString().includes(`Listening on ${multiaddrs?.[0]}\n`))
  const peers = await runP2p(['peers', '--json'], { repo })
  assert.deepEqual(lastEvent(peers.stdout).peers, [])

  const stopped = await runP2p(['stop'], { repo })
  assert.deepEqual([stopped.code, stopped.stdout.toString()], [0, ''])
  assert.match(stopped.stderr, new RegExp(`^\`p2p share\` \\(pid ${first.pid}\\) has ended`))
  assert.equal(lastEvent((await first.finished).stdout).exitCode, 0)
  const types = first.events.map(({ type }) => type)
  assert.ok(types.lastIndexOf('add-progress') < types.indexOf('link'), `${types}`)

  const before = second.stdoutBytes
  await until(t, () => second.stdoutBytes > before)
  second.kill('SIGINT')
  const { code, stdout, stderr } = await second.finished
  assert.equal(code, 0, stderr)
  const [early, late, ...rest] = stdout.toString().split('\n')
  assert.equal(early, expectedLink)
  assert.match(late ?? '', /^ipfs:\/\/baf\w+\?filename=notes\.txt&provider=\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/\w+$/)
  assert.deepEqual(rest, [''])
  assert.match(stderr, /`p2p share` \(pid \d+\) serves it; this command goes on when that ends/)

  const nothing = await runP2p(['stop'], { repo })
  assert.equal(nothing.code, 3)
  assert.match(nothing.stderr, /^error: No server runs on this repo\nhint: /)
})

test('a QR code is shown on stderr, and a path that is not whole gives exit code 10', async (t) => {
  const folder = await makeTempDir(t)
  await writeFile(join(folder, 'hello'), 'hello world')
  const args = ['share', join(folder, 'hello'), '/dev/null', '--qr', ...LISTEN]
  const sharing = startP2p(t, args, { repo: join(folder, 'repo') })
  await until(t, () => /Ready/.test(sharing.stderr))
  sharing.kill('SIGTERM')
  const { code, stdout, stderr } = await sharing.finished
  assert.equal(code, 10, stderr)
  assert.match(stdout.toString(), /^ipfs:\/\/\S+\n$/)
  assert.match(stderr, /^█▀▀▀▀▀▀▀█.*█▀▀▀▀▀▀▀█$/m)
  assert.match(stderr, /^warning: \/dev\/null is not added/m)
})

test('a path that is not there ends share before it has a repo, or is online', async (t) => {
  const folder = await makeTempDir(t)
  const { code, stderr } = await runP2p(['share', join(folder, 'nosuch'), ...LISTEN], { repo: join(folder, 'repo') })
  assert.equal(code, 3)
  assert.match(stderr, /^error: There is nothing at .*nosuch\n/)
  assert.deepEqual(await readdir(folder), [])
})
