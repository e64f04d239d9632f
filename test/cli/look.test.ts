/** Looking at content through the built binary: what is printed, with and without a server that holds the repo. */

import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { encode, prepare } from '@ipld/dag-pb'
import { carHeader } from '../../src/car/write.ts'
import { MiB } from '../../src/common/units.ts'
import { cborBlock, dagPbBlock, numberedBlock } from '../support/blocks.ts'
import { randomBytes } from '../support/bytes.ts'
import { carSection, carV2 } from '../support/cars.ts'
import { folderBlock, symlinkBlock } from '../support/hostile-trees.ts'
import { addPath, runP2p, startServe } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'

const ABSENT = 'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'
const EMPTY_FOLDER = 'bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354'

test('every command prints the same with and without a server', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const tree = join(folder, 'tree')
  await mkdir(join(tree, 'sub'), { recursive: true })
  const content = randomBytes('look', 2 * MiB)
  await writeFile(join(tree, 'file'), content)
  await writeFile(join(tree, 'sub', 'a\nb\u001b[31m'), 'hello')
  const cid = await addPath(repo, tree)
  const commands: { args: string[]; code: number; stdout?: RegExp; stderr?: RegExp }[] = [
    {
      args: ['ls', '-lr', cid, '--offline'],
      code: 0,
      stdout:
        /^file +2097152 +- +- +bafy\w+ {2}file\nfolder .* sub\nfile +5 .* bafk\w+ {2}sub\/a\\u\{a\}b\\u\{1b\}\[31m\n$/,
    },
    {
      args: ['ls', cid, '--json'],
      code: 0,
      stdout: /"type":"entry".*"path":"file".*\n.*\n.*"type":"result".*"exitCode":0/,
    },
    { args: ['cat', `${cid}/file`, '--offset', '1MiB', '--length', '3'], code: 0 },
    { args: ['cat', cid], code: 2, stderr: /A folder cannot be written to stdout\n.*p2p ls/ },
    { args: ['info', cid, '--offline'], code: 0, stdout: /^size +2.0 MiB \(2097157 bytes\)$/m },
    {
      args: ['dag', 'stat', cid, `${cid}/sub`],
      code: 0,
      stdout: /^bafy\w+ {2}6 blocks.*\nbafy\w+ {2}2 blocks.*\nall.* 6 /,
    },
    { args: ['car', 'export', cid], code: 0, stderr: /^Exported 6 blocks, 2.0 MiB\.\n$/ },
    { args: ['block', 'rm', cid], code: 10, stderr: /needs it\n/ },
    {
      args: ['block', 'rm', ABSENT],
      code: 3,
      stderr: /is not removed: it is not in the local store\n.*\nhint: .*--force/,
    },
  ]
  const runAll = async () => {
    const results = []
    for (const { args } of commands) {
      // Whether there is time for lines of progress is up to the machine.
      const { code, stdout, stderr } = await runP2p([...args, '--no-progress'], { repo })
      results.push({ args, code, stdout: stdout.toString('latin1').replaceAll(/"ts":"[^"]*"/g, '"ts"'), stderr })
    }
    return results
  }
  const alone = await runAll()
  for (const [index, { code, stdout, stderr }] of commands.entries()) {
    const result = alone[index]!
    assert.equal(result.code, code, result.stderr)
    if (stdout !== undefined) assert.match(result.stdout, stdout)
    assert.match(result.stderr, stderr ?? /^$/)
  }
  assert.equal(alone[2]?.stdout, content.subarray(MiB, MiB + 3).toString('latin1'))
  const serve = await startServe(t, repo)
  assert.deepEqual(await runAll(), alone)
  await serve.stop()
})

test('a CAR file that lacks blocks is imported and not pinned; cid needs no repo', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const tree = join(folder, 'tree')
  await mkdir(tree)
  await writeFile(join(tree, 'last'), 'hello')
  const cid = await addPath(repo, tree)
  const { stdout: car } = await runP2p(['car', 'export', cid], { repo })
  // The last section is that of the file: its length, 36 bytes of CID, 5 of content.
  const cut = car.subarray(0, car.byteLength - 42)
  const other = join(folder, 'other')
  const imported = await runP2p(['car', 'import', '-'], { repo: other, stdin: [cut] })
  assert.equal(imported.code, 10, imported.stderr)
  assert.equal(imported.stdout.toString(), `${cid}\n`)
  assert.match(imported.stderr, /is not pinned: Block bafk\w+ is not in the local store\n/)
  const damaged = await runP2p(['car', 'import', '-'], { repo: other, stdin: [car.subarray(0, -1)] })
  assert.equal(damaged.code, 1)
  assert.match(damaged.stderr, /^error: Not a valid CAR file, at byte \d+: the file ends too early\n/m)

  const shown = await runP2p(['cid', EMPTY_FOLDER], { repo: '/dev/null/none' })
  assert.match(
    shown.stdout.toString(),
    /^version +1\ncodec +dag-pb\nhash +sha2-256, 32 bytes\ndigest +\w{64}\nbase +base32\n$/m,
  )
  const converted = await runP2p(['cid', '--v0', EMPTY_FOLDER], { repo: '/dev/null/none' })
  assert.equal(converted.stdout.toString(), 'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn\n')
})

test('a CAR file of version 2 is imported, and ls says what else than files a folder has', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const leaf = numberedBlock(1)
  const cbor = cborBlock({ link: leaf.cid })
  const bare = dagPbBlock(encode(prepare({ Links: [{ Name: 'x', Hash: leaf.cid, Tsize: 8 }] })))
  const sub = folderBlock([['leaf', leaf]])
  const root = folderBlock([
    ['bare', bare],
    ['data', cbor],
    ['leaf', leaf],
    ['link', symlinkBlock('leaf')],
    ['sub', sub],
  ])
  const blocks = [root, bare, cbor, leaf, symlinkBlock('leaf'), sub]
  const payload = Buffer.concat([carHeader([root.cid]), ...blocks.map(carSection)])
  const imported = await runP2p(['car', 'import', '-'], { repo, stdin: [carV2(payload, { padding: 9, index: 100 })] })
  assert.equal(imported.stdout.toString(), `${root.cid}\n`, imported.stderr)
  const { stdout } = await runP2p(['ls', '--long', root.cid.toString(), '--offline'], { repo })
  const lines = stdout.toString().trimEnd().split('\n')
  assert.deepEqual(
    lines.map((line) => line.split(/ +/)).map(([kind, bytes, , , cid, ...name]) => [kind, bytes, cid, name.join(' ')]),
    [
      ['dag-pb', '-', bare.cid.toString(), 'bare'],
      ['dag-cbor', '-', cbor.cid.toString(), 'data'],
      ['file', '8', leaf.cid.toString(), 'leaf'],
      ['symlink', '-', symlinkBlock('leaf').cid.toString(), 'link -> leaf'],
      ['folder', '-', sub.cid.toString(), 'sub'],
    ],
  )
})
