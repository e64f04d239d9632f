/** What commands write with and without a holder of the repo, byte for byte: the built binary. A new command is a row. */

import '../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { openNode } from '../../src/node/open.ts'
import { resolveLocation } from '../../src/repo/location.ts'
import { serveApi } from '../../src/rpc/server.ts'
import { randomChunks } from '../support/bytes.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { type FinishedP2p, runP2p } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'

const HELLO = 'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'
/** Of the folder `tree` with all that is in it. */
const TREE = 'bafybeidp6sxjjqa7ahix2n2uoly4tm6grd5e6hqtrttfgajsglzh65rbra'
const MISSING = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'

interface Row {
  /** In a folder with `hello` and `tree/.hidden`, `tree/shown`; what is made there as `target` is gone in the next round. */
  args: string[]
  stdin?: () => Iterable<Uint8Array>
}

const stdin = () => randomChunks('stdin', 3 * MiB)

/** Each in the repo that those before have left. */
const ROWS: Row[] = [
  { args: ['add', 'hello', 'tree', 'hello'] },
  { args: ['add', 'hello', '--quiet'] },
  { args: ['add', 'tree', '--hidden', '--json'] },
  { args: ['add', '-'], stdin },
  { args: ['add', '-', '--json'], stdin },
  { args: ['add', 'hello', '/dev/null'] },
  { args: ['add', 'missing'] },
  { args: ['add', 'missing', '--json'] },
  { args: ['get', HELLO, '-o', '-'] },
  { args: ['get', HELLO, '-o', '-', '--offline', '--verbose'] },
  { args: ['get', HELLO, '-o', 'target'] },
  { args: ['get', HELLO, '-o', 'target'] },
  { args: ['get', HELLO, '-o', 'target', '--force', '--json'] },
  { args: ['get', `${HELLO}/no/such`, '-o', '-'] },
  { args: ['get', MISSING, '-o', 'none', '--offline'] },
  { args: ['get', MISSING, '-o', 'none', '--offline', '--json'] },
  { args: ['ls', '--long', TREE] },
  { args: ['ls', '--recursive', TREE, '--json'] },
  { args: ['cat', HELLO, '--offset', '6', '--length', '3'] },
  { args: ['cat', `${TREE}/shown`, '--offline'] },
  { args: ['info', TREE, '--offline'] },
  { args: ['block', 'get', HELLO] },
  { args: ['block', 'put'], stdin: () => [Buffer.from('a block')] },
  { args: ['block', 'stat', HELLO] },
  { args: ['block', 'rm', HELLO, MISSING] },
  { args: ['car', 'import', 'hello'] },
  { args: ['connect', '/ip4/127.0.0.1/tcp/1'] },
  { args: ['dag', 'stat', TREE, '--json'] },
  { args: ['car', 'export', TREE, '-o', '-'] },
  { args: ['id'] },
  { args: ['id', '--json', '--quiet'] },
  { args: ['status'] },
  { args: ['status', '--json'] },
  { args: ['peers', '--json'] },
  { args: ['peers'] },
  { args: ['find', MISSING] },
  { args: ['pin', 'add', TREE, '--offline'] },
  { args: ['pin', 'ls'] },
  { args: ['pin', 'rm', MISSING] },
  { args: ['gc', '--dry-run'] },
  { args: ['verify'] },
  { args: ['repo'] },
  { args: ['config', 'set', 'limits.op', '1MiB'] },
  { args: ['config', 'ls'] },
  { args: ['config', 'get', 'limits.up'] },
  { args: ['config', 'path'] },
]

test('commands write the same with and without a holder', async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  await mkdir(join(folder, 'tree'))
  await writeFile(join(folder, 'hello'), 'hello world')
  await writeFile(join(folder, 'tree', '.hidden'), 'x')
  await writeFile(join(folder, 'tree', 'shown'), 'x')
  const runAll = async (): Promise<unknown[]> => {
    const outputs: unknown[] = []
    for (const { args, stdin } of ROWS) {
      const options = { repo, cwd: folder, ...(stdin && { stdin: stdin() }) }
      outputs.push([args.join(' '), written(await runP2p([...args, '--no-progress'], options))])
    }
    return outputs
  }
  const alone = await runAll()
  await rm(join(folder, 'target'))
  await holdRepo(t, repo, folder)
  assert.deepEqual(await runAll(), alone)
})

/** Holds the repo as a `get` does that has nothing to do. */
async function holdRepo(t: TestContext, repo: string, folder: string): Promise<void> {
  const location = resolveLocation({ repo, env: {}, home: folder, cwd: folder })
  const options = { location, command: 'p2p test', holdTimeoutMs: 0, listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap: [] }
  const node = await openNode({ ...options, role: 'client' })
  cleanUpAfter(t, () => node.close())
  const places = { userId: process.getuid?.(), runtimeDir: undefined, tempDir: folder }
  const server = await serveApi(node, { dataDir: location.dataDir, places })
  cleanUpAfter(t, () => server.close())
}

/** What a command wrote, without what differs from run to run. */
function written({ code, stdout, stderr }: FinishedP2p): unknown {
  const withoutTimes = (text: string) =>
    text
      .replace(/^.*; waiting up to .*\n/gm, '')
      .replace(/ *(\d+\.\d s|\d+ s|\d+m\d\ds)\b/g, ' <time>')
      .replace(/"ts":"[^"]*"/g, '"ts":<time>')
      .replace(/"seconds":[\d.e-]+/g, '"seconds":<time>')
  return { code, stdout: withoutTimes(stdout.toString('latin1')), stderr: withoutTimes(stderr) }
}
