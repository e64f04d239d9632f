/** The built binary: names, flags, messages and exit codes that need neither content nor peers. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import test from 'node:test'
import { lastEvent, P2pProcess, p2pBinary, runP2p } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'

const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
const PEER = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8'

test('--version prints the version alone', async (t) => {
  const repo = await makeTempDir(t)
  for (const args of [['--version'], ['get', '--version']]) {
    const { code, stdout, stderr } = await runP2p(args, { repo })
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
    assert.match(stdout.toString(), /^\d+\.\d+\.\d+\n$/)
  }
})

test('help goes to stdout, and names global flags for every command', async (t) => {
  const repo = await makeTempDir(t)
  for (const args of [
    ['--help'],
    ['help'],
    ['get', '-h'],
    ['help', 'get'],
    ['serve', '--help'],
    ['help', 'config', 'set'],
  ]) {
    const { code, stdout, stderr } = await runP2p(args, { repo })
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' }, args.join(' '))
    assert.match(stdout.toString(), /^Usage: p2p /)
    assert.match(stdout.toString(), /--bootstrap <multiaddr>/)
  }
})

test('empty paths, as an unset variable of a script gives, are refused: exit 2', async (t) => {
  const folder = await makeTempDir(t)
  for (const args of [
    ['add', ''],
    ['--repo', '', 'add', folder],
  ]) {
    const { code, stdout, stderr } = await runP2p(args, { repo: join(folder, 'repo') })
    assert.deepEqual({ code, stdout: stdout.toString() }, { code: 2, stdout: '' }, stderr)
    assert.match(stderr, /hint:/)
  }
})

test('no command at all: help on stderr, exit 2', async (t) => {
  const { code, stdout, stderr } = await runP2p([], { repo: await makeTempDir(t) })
  assert.equal(code, 2)
  assert.equal(stdout.toString(), '')
  assert.match(stderr, /^Usage: p2p /)
})

test('what cannot be understood: exit 2, one message, one hint, nothing on stdout, no repo made', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const rows: [string[], RegExp, RegExp][] = [
    [['gett', CID], /Unknown command 'gett'/, /Did you mean get\?/],
    [['help', 'gett'], /no command "gett"/, /Did you mean get\?/],
    [['help', 'get', 'nonsense'], /no command "get nonsense"/, /p2p help get/],
    [['get', '--jsn', CID], /Unknown option '--jsn'/, /Did you mean --json\?/],
    [['get', '--pee', PEER, CID], /Unknown option '--pee'/, /Did you mean --peer\?/],
    [['get'], /Missing required argument 'ref'/, /p2p help get/],
    [['get', CID, CID], /Too many arguments/, /p2p help get/],
    [['add'], /Missing required argument 'path'/, /p2p help add/],
    [['add', 'a', 'b', '--name', 'c'], /--name is for one path/, /--wrap/],
    [['add', '-', '-'], /stdin/, /single time/],
    [['get', CID, '--timeout', '8x'], /"8x".*--timeout/, /500ms, 8s, 5m/],
    [['get', CID, '--timeout', '0s'], /"0s".*--timeout/, /above zero/],
    [['get', CID, '-o', ''], /-o needs a path/, /./],
    [['get', CID.slice(0, 50)], /is not a CID/, /copied whole/],
    [['get', `${CID.slice(0, 9)}1${CID.slice(10)}`], /is not a CID/, /damaged: "1" at place 10/],
    [['get', 'https://example.net/film.mkv'], /holds no CID/, /gateway/],
    [['get', `${CID}/../etc`], /the name "\.\."/, /./],
    [['get', CID, '--peer', '/ip4/127.0.0.1/tcp/1'], /not the address of a peer/, /\/p2p\//],
    [['pin', 'add', CID, '--peer', '/ip4/127.0.0.1/tcp/1'], /not the address of a peer/, /\/p2p\//],
    [['verify', '--peer', '/ip4/127.0.0.1/tcp/1'], /not the address of a peer/, /\/p2p\//],
    [['get', CID, '--bootstrap', 'example.net'], /not the address of a peer/, /\/p2p\//],
    [['get', CID, '--bootstrap', 'none', '--bootstrap', PEER], /cannot be combined/, /"none"/],
    [['serve', '--listen', '0.0.0.0:4001'], /not an address to listen on/, /\/ip4\/0\.0\.0\.0\/tcp\/4001/],
    [['serve', '--announce', 'example.net'], /not an address to announce/, /\/dns4\//],
    [['serve', '--limit-up', '10'], /"10" is not a limit that --limit-up takes/, /10MiB/],
    [['get', CID, '--limit-down', '1KiB'], /not a limit that --limit-down takes/, /at least 16KiB/],
    [['serve', '--offline'], /--offline/, /--bootstrap none/],
    [['share', '.', '--offline'], /--offline/, /p2p add/],
    [['find', CID, '--limit', '0'], /"0" is not a number that --limit takes/, /above zero/],
    [['connect', '/ip4/127.0.0.1/tcp/1'], /not the address of a peer/, /\/p2p\//],
    [['config', 'gt', 'limits.up'], /Unknown command 'gt'/, /Did you mean get\?/],
    [['config', 'get', 'limits.ups'], /"limits.ups" is not a setting/, /"limits.up"/],
  ]
  for (const [args, message, hint] of rows) {
    const { code, stdout, stderr } = await runP2p(args, { repo })
    const [first = '', second = '', ...rest] = stderr.split('\n')
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`)
    assert.equal(stdout.toString(), '')
    assert.match(first, new RegExp(`^error: .*${message.source}`))
    assert.match(second, new RegExp(`^hint: .*${hint.source}`))
    assert.deepEqual(rest, [''])
  }
  await assert.rejects(access(repo))
})

test('--json ends with an error event, wherever it stands', async (t) => {
  const repo = await makeTempDir(t)
  for (const args of [
    ['--json', 'get', 'x'],
    ['get', '--json', 'x'],
    ['get', 'x', '--json'],
  ]) {
    const { code, stdout, stderr } = await runP2p(args, { repo })
    const { ts, ...event } = lastEvent(stdout)
    assert.equal(code, 2)
    assert.equal(stderr, '')
    assert.equal(typeof ts, 'string')
    assert.deepEqual(
      { ...event, hint: typeof event.hint },
      { v: 1, type: 'error', code: 'bad-ref', message: '"x" is not a CID', hint: 'string', exitCode: 2 },
    )
  }
  const unknown = await runP2p(['get', CID, '--json', '--nonsense'], { repo })
  assert.equal(lastEvent(unknown.stdout).code, 'usage')
  const incomplete = await runP2p(['pin', '--json'], { repo })
  assert.deepEqual([incomplete.code, lastEvent(incomplete.stdout).message], [2, 'A command is missing'])
})

test('--json is refused beside -o -', async (t) => {
  const { code, stdout } = await runP2p(['get', CID, '-o', '-', '--json'], { repo: await makeTempDir(t) })
  assert.equal(code, 2)
  assert.equal(lastEvent(stdout).code, 'usage')
})

test('P2P_BOOTSTRAP is checked as the flag is', async (t) => {
  const repo = await makeTempDir(t)
  const { code, stderr } = await runP2p(['get', CID], { repo, env: { P2P_BOOTSTRAP: 'none,example.net' } })
  assert.equal(code, 2, stderr)
})

test('add of a path that does not exist names it, and adds nothing: exit 3', async (t) => {
  const folder = await makeTempDir(t)
  await writeFile(join(folder, 'hello'), 'hello world')
  const args = ['add', join(folder, 'hello'), join(folder, 'missing')]
  const { code, stdout, stderr } = await runP2p(args, { repo: join(folder, 'repo') })
  assert.equal(code, 3, stderr)
  assert.equal(stdout.toString(), '')
  assert.ok(stderr.includes(join(folder, 'missing')), stderr)
})

test('an existing target is left alone, exit 9', async (t) => {
  const folder = await makeTempDir(t)
  const target = join(folder, 'target')
  await mkdir(target)
  await writeFile(join(folder, 'hello'), 'hello world')
  const repo = join(folder, 'repo')
  const added = await runP2p(['add', join(folder, 'hello')], { repo })
  const { code, stderr } = await runP2p(['get', added.stdout.toString().trim(), '-o', target], { repo })
  assert.equal(code, 9, stderr)
  assert.match(stderr, /^error: .*\nhint: .*--force/m)
})

test('a relative path is resolved against the current folder, and shown as it was given', async (t) => {
  const folder = await makeTempDir(t)
  await writeFile(join(folder, 'hello'), 'hello world')
  const { stdout, stderr } = await runP2p(['add', './hello', '--json'], { repo: join(folder, 'repo'), cwd: folder })
  const { roots } = lastEvent(stdout) as unknown as { roots: { path: string }[] }
  assert.deepEqual(
    roots.map(({ path }) => path),
    ['./hello'],
    stderr,
  )
})

test('add ended by a signal while it reads: 130 for SIGINT, 143 for SIGTERM, with a last event', async (t) => {
  const folder = await makeTempDir(t)
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    // A source that never ends, and is seen to be read.
    const endless = function* () {
      for (;;) yield Buffer.alloc(64 * 1024)
    }
    const adding = new P2pProcess(['add', '-', '--json'], { repo: join(folder, signal), stdin: endless() })
    await adding.waitForEvent('add-progress', ({ bytes }) => Number(bytes) > 0)
    adding.kill(signal)
    const { code, stdout } = await adding.finished
    assert.equal(code, exitCode)
    const { type, code: errorCode, exitCode: announced } = lastEvent(stdout)
    assert.deepEqual({ type, errorCode, announced }, { type: 'error', errorCode: 'aborted', announced: exitCode })
  }
})

test('a reader that closes stdout is no failure', async (t) => {
  const folder = await makeTempDir(t)
  await writeFile(join(folder, 'hello'), 'hello world')
  const paths = Array.from({ length: 200 }, () => 'hello')
  const adding = spawn(process.execPath, [p2pBinary, 'add', ...paths], {
    cwd: folder,
    env: { ...process.env, P2P_PATH: join(folder, 'repo') },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  adding.stdout.once('data', () => adding.stdout.destroy())
  const [stderr, [code]] = await Promise.all([text(adding.stderr), once(adding, 'close')])
  assert.equal(code, 0, stderr)
  assert.doesNotMatch(stderr, /error/)
})
