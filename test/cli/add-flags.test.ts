/** The flags of `p2p add` that decide the CID, from the command line to the store. */

import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { access, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { parseMode, parseNumber } from '../../src/cli/flags.ts'
import { MiB } from '../../src/common/units.ts'
import { randomBytes } from '../support/bytes.ts'
import { lastEvent, runP2p, startP2p } from '../support/processes.ts'
import { makePipe } from '../support/special-files.ts'
import { storedBlocks } from '../support/stored-blocks.ts'
import { makeTempDir } from '../support/temp.ts'

const FLAGS = [
  '--no-raw-leaves',
  '--chunker',
  'size-100000',
  '--hash',
  'sha2-512',
  '--max-file-links',
  '3',
  '--mode',
  '0640',
]

test('--nocopy serves what other switches have made, and --only-hash tells the same CID without a repo', async (t) => {
  const folder = await makeTempDir(t)
  const content = randomBytes('add-flags', MiB)
  const file = join(folder, 'file')
  await writeFile(file, content)
  const repo = join(folder, 'repo')
  const noRepo = join(folder, 'no-repo')

  const hashed = await runP2p(['add', '--only-hash', ...FLAGS, file], { repo: noRepo })
  assert.equal(hashed.code, 0, hashed.stderr)
  await assert.rejects(access(noRepo))

  const added = await runP2p(['add', '--nocopy', ...FLAGS, file], { repo })
  assert.equal(added.stdout.toString(), hashed.stdout.toString())
  const blocks = await storedBlocks(join(repo, 'blocks'))
  assert.equal(
    blocks.length,
    7,
    'eleven leaves stay in the file, below four nodes, two and one; no block is of content',
  )

  const read = await runP2p(['--offline', 'cat', added.stdout.toString().trim()], { repo })
  assert.ok(content.equals(read.stdout), read.stderr)
})

test('while many files are added it is told how many there are and how many are done', async (t) => {
  const folder = await makeTempDir(t)
  const tree = join(folder, 'tree')
  const [wide, others] = [9_000, 1_000]
  for (let index = 0; index < wide + others; index++) {
    const parent = index < wide ? tree : join(tree, `m${index % 10}`)
    mkdirSync(parent, { recursive: true })
    writeFileSync(join(parent, `${index}`), `${index}`)
  }
  const add = startP2p(t, ['add', '--json', tree], { repo: join(folder, 'repo') })
  const { code, stderr } = await add.finished
  assert.equal(code, 0, stderr)
  const told = add.events.filter(({ type }) => type === 'add-progress')
  assert.ok(told.every(({ totalFiles, totalBytes }) => totalFiles === wide + others && Number(totalBytes) > wide))
  const done = told.map(({ files }) => Number(files))
  assert.deepEqual(
    done,
    done.toSorted((one, other) => one - other),
  )
  assert.deepEqual([done.at(-1), told.at(-1)?.etaSeconds], [wide + others, 0])
})

test('a folder as stdin is no content', async (t) => {
  const folder = await makeTempDir(t)
  const wrapper = ['sh', '-c', 'exec "$0" "$@" < /']
  for (const args of [
    ['add', '-'],
    ['block', 'put'],
    ['car', 'import', '-'],
  ]) {
    const { code, stdout, stderr } = await runP2p(args, { repo: join(folder, 'repo'), wrapper })
    assert.deepEqual([code, stdout.toString()], [6, ''], stderr)
    assert.match(stderr, /Cannot read .*: it is a folder/)
  }
})

test('what no DAG can hold fails its own path, with what it is; the others go on: exit 10', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const paths = ['badly named', 'piped', 'good'].map((name) => join(folder, name))
  for (const path of paths) {
    await mkdir(path)
    await writeFile(join(path, 'file'), 'content')
  }
  await writeFile(Buffer.concat([Buffer.from(`${paths[0]}/bad`), Buffer.of(0xff)]), 'x')
  makePipe(join(paths[1]!, 'pipe'))
  const { code, stdout, stderr } = await runP2p(['add', ...paths], { repo })
  assert.equal(code, 10, stderr)
  assert.match(stderr, /badly named\/bad\ufffd: its name is not valid UTF-8/)
  assert.match(stderr, /piped\/pipe: it is a named pipe, not a file, folder or symlink/)
  const alone = await runP2p(['add', '--only-hash', paths[2]!], { repo })
  assert.equal(stdout.toString(), alone.stdout.toString())
  const wrapped = await runP2p(['add', '--wrap', ...paths], { repo })
  assert.deepEqual([wrapped.code, wrapped.stdout.toString()], [6, ''], 'one without the others was not asked for')
})

test('every problem of a path is named with --verbose and --json; a path that fails alone gives its own exit code', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const tree = join(folder, 'tree')
  await mkdir(tree)
  await writeFile(Buffer.concat([Buffer.from(`${tree}/bad`), Buffer.of(0xff)]), 'x')
  makePipe(join(tree, 'pipe'))
  const short = await runP2p(['add', tree], { repo })
  assert.equal(short.code, 6, short.stderr)
  assert.match(
    short.stderr,
    /not valid UTF-8 \(and 1 more problem\)\n.*error: 1 of 1 paths.*\nhint: .*--verbose.*--ignore/,
  )
  const long = await runP2p(['add', tree, '--verbose'], { repo })
  assert.match(long.stderr, /not valid UTF-8\nwarning: .*pipe: it is a named pipe/)
  const { exitCode, code, failures } = lastEvent((await runP2p(['add', tree, '--json'], { repo })).stdout)
  const [failure] = failures as { code: string; problems: string[] }[]
  assert.deepEqual([exitCode, code, failure?.code, failure?.problems.length], [6, 'io', 'io', 2])
  assert.equal((await runP2p(['add', tree, '--ignore', 'bad*', '--ignore', 'pipe'], { repo })).code, 0)
})

test('--wrap, --ignore and --no-empty-dirs make the tree that they say', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const tree = join(folder, 'tree')
  await mkdir(join(tree, 'empty'), { recursive: true })
  for (const name of ['kept', 'noted.log', 'ruled.tmp', '.hidden']) await writeFile(join(tree, name), name)
  const rules = join(folder, 'rules')
  await writeFile(rules, '*.tmp\n')
  const listed = async (...flags: string[]) => {
    const added = await runP2p(['add', ...flags, tree], { repo })
    assert.equal(added.code, 0, added.stderr)
    const { stdout } = await runP2p(['ls', '--recursive', '--offline', added.stdout.toString().trim()], { repo })
    return stdout.toString().trimEnd().split('\n')
  }
  const leaving = ['--ignore', '*.log', '--ignore-file', rules]
  assert.deepEqual(await listed(), ['empty', 'kept', 'noted.log', 'ruled.tmp'])
  assert.deepEqual(await listed(...leaving), ['empty', 'kept'])
  assert.deepEqual(await listed(...leaving, '--no-empty-dirs', '--hidden'), ['.hidden', 'kept'])
  assert.deepEqual(await listed(...leaving, '--wrap'), ['tree', 'tree/empty', 'tree/kept'])
})

test('settings that do not go together end the command before it makes a repo', async (t) => {
  const folder = await makeTempDir(t)
  await mkdir(join(folder, 'tree'))
  const repo = join(folder, 'repo')
  const { code, stderr } = await runP2p(['add', '--cid-version', '0', '--hash', 'sha2-512', join(folder, 'tree')], {
    repo,
  })
  assert.equal(code, 2)
  assert.match(stderr, /CIDs of version 0 are of sha2-256.*\n.*--cid-version 1/)
  await assert.rejects(access(repo))
})

test('modes are octal, numbers are digits', () => {
  assert.equal(parseMode('0644', '--mode'), 0o644)
  assert.equal(parseMode('0o4755', '--mode'), 0o4755)
  for (const text of ['644', '0', '0x1a4', '0888', '-0644', '']) {
    assert.throws(() => parseMode(text, '--mode'), { code: 'usage', message: /--mode/ }, text)
  }
  assert.equal(parseNumber('174', '--max-file-links'), 174)
  for (const text of ['', '-1', '1.5', '1e3', '0x10', 'many']) {
    assert.throws(() => parseNumber(text, '--max-file-links'), { code: 'usage' }, text)
  }
})
