/** What goes wrong beside the way, is told, and does not end the command. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { sha256OfFile, writeRandomFile } from '../support/bytes.ts'
import { addPath, lastEvent, runP2p, startP2p, startServe } from '../support/processes.ts'
import { damageStored } from '../support/stored-blocks.ts'
import { makeTempDir } from '../support/temp.ts'

const FILE_BYTES = 100_000

test('a provider in a link that is no address is named, and the others are asked', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  const digest = await writeRandomFile(file, 'link', FILE_BYTES)
  const cid = await addPath(join(folder, 'seeder'), file)
  const { multiaddr } = await startServe(t, join(folder, 'seeder'))
  const output = join(folder, 'output')
  const link = `ipfs://${cid}?provider=%1B[2Jnonsense&provider=${encodeURIComponent(multiaddr)}`
  const { code, stderr } = await runP2p(['get', link, '-o', output], { repo: join(folder, 'receiver') })
  assert.equal(code, 0, stderr)
  assert.equal(await sha256OfFile(output), digest)
  assert.match(stderr, /^warning: The provider "\\u\{1b\}\[2Jnonsense" in the link is not the address of a peer/m)
})

test('a block that was damaged on disk is told from one that was never here', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  await writeRandomFile(file, 'damaged', FILE_BYTES)
  const repo = join(folder, 'repo')
  const cid = await addPath(repo, file)
  await damageStored(join(repo, 'blocks'))
  const args = ['get', cid, '--offline', '-o', join(folder, 'output')]
  const damaged = new RegExp(`^warning: Block ${cid} was damaged`, 'gm')
  const first = await runP2p(args, { repo })
  assert.deepEqual([first.code, first.stderr.match(damaged)?.length], [3, 1], first.stderr)
  const second = await runP2p(args, { repo })
  assert.deepEqual([second.code, second.stderr.match(damaged)], [3, null], second.stderr)
})

test('serve tells its operator of a damaged block, and the receiver that nobody has it', async (t) => {
  const folder = await makeTempDir(t)
  const file = join(folder, 'file')
  await writeRandomFile(file, 'damaged', FILE_BYTES)
  const cid = await addPath(join(folder, 'seeder'), file)
  await damageStored(join(folder, 'seeder', 'blocks'))
  const seeder = await startServe(t, join(folder, 'seeder'))
  const args = ['get', cid, '-o', join(folder, 'output'), '--peer', seeder.multiaddr, '--json']
  const { code, stdout } = await startP2p(t, args, { repo: join(folder, 'receiver') }).finished
  assert.deepEqual([code, lastEvent(stdout).code], [3, 'no-provider'])
  const warnings = seeder.process.events.filter(({ type }) => type === 'warning').map(({ message }) => String(message))
  assert.equal(warnings.length, 1, warnings.join('\n'))
  assert.match(warnings[0] ?? '', new RegExp(`Block ${cid} was damaged`))
})
