/** `p2p` and Kubo, the reference implementation of IPFS: each fetches from the other, and CIDs are the same. */

import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { MiB } from '../../src/common/units.ts'
import { describeMetadata, writeRandomFile } from '../support/bytes.ts'
import { type KuboProfile, noKubo, startKubo } from '../support/kubo.ts'
import { addPath, addPaths, getJson, runP2p, startServe } from '../support/processes.ts'
import { makeTempDir } from '../support/temp.ts'
import { assertSameContent, writeOddities, writeSamples } from './samples.ts'

const skip = await noKubo()

test('p2p get fetches from Kubo', { skip }, async (t) => {
  await getAllFromKubo(t, 'unixfs-v1-2025')
})

test('p2p get fetches from Kubo what it added by its default profile', { skip }, async (t) => {
  await getAllFromKubo(t, 'unixfs-v0-2015')
})

async function getAllFromKubo(t: TestContext, profile: KuboProfile): Promise<void> {
  const folder = await makeTempDir(t)
  const samples = await writeSamples(folder)
  const kubo = await startKubo(t, { profile })
  const output = join(folder, 'output')
  await mkdir(output)
  for (const { name, path } of samples) {
    await t.test(name, async () => {
      const cid = await kubo.add(path)
      const copy = join(output, basename(path))
      const repo = join(folder, 'receiver')
      const result = await getJson([cid, '-o', copy, '--peer', kubo.multiaddr], { repo })
      assert.equal(result.cid, cid)
      await assertSameContent(copy, path)
    })
  }
}

test('p2p get reads whatever else Kubo can write', { skip }, async (t) => {
  const folder = await makeTempDir(t)
  const kubo = await startKubo(t)
  const { file, tree, many } = await writeOddities(folder)
  const small = ['--chunker=size-1000', '--max-file-links=3']
  const switches: { path: string; flags: string[] }[] = [
    { path: file, flags: ['--trickle', ...small] },
    { path: file, flags: ['--trickle', '--raw-leaves=false', ...small] },
    { path: file, flags: ['--raw-leaves=false', ...small] },
    { path: file, flags: ['--cid-version=0', '--raw-leaves=false'] },
    { path: file, flags: ['--chunker=rabin-100-200-400'] },
    { path: tree, flags: ['--inline', '--inline-limit=128'] },
    { path: tree, flags: ['--inline', '--raw-leaves=false', '--trickle'] },
    { path: tree, flags: ['--preserve-mode', '--preserve-mtime', '--raw-leaves=false'] },
    ...['sha2-512', 'sha3-384', 'keccak-256', 'blake3', 'blake2b-160', 'blake2s-256', 'dbl-sha2-256'].map((hash) => {
      return { path: tree, flags: [`--hash=${hash}`] }
    }),
    ...[8, 32, 1024].map((fanout) => {
      return { path: many, flags: ['--max-directory-links=2', `--max-hamt-fanout=${fanout}`] }
    }),
  ]
  await kubo.ipfs('files', 'mkdir', '/all')
  for (const [index, { path, flags }] of switches.entries()) {
    const cid = await kubo.ipfs('add', '--recursive', '--quieter', ...flags, path)
    await kubo.ipfs('files', 'cp', `/ipfs/${cid}`, `/all/${index}`)
  }
  const all = await kubo.ipfs('files', 'stat', '--hash', '/all')
  const copy = join(folder, 'copy')
  const repo = join(folder, 'receiver')
  await getJson([all, '-o', copy, '--peer', kubo.multiaddr], { repo })
  for (const [index, { path, flags }] of switches.entries()) {
    await t.test(`${basename(path)} with ${flags.join(' ')}`, async () => {
      const made = join(copy, String(index))
      await assertSameContent(made, path)
      if (flags.includes('--preserve-mtime'))
        assert.deepEqual(await describeMetadata(made), await describeMetadata(path))
    })
  }
  const one = join(folder, 'one')
  await getJson([`${all}/${switches.length - 3}/file-17`, '-o', one, '--peer', kubo.multiaddr], { repo: `${repo}-2` })
  await assertSameContent(one, join(many, 'file-17'))
})

test('p2p get saves a block that is no file as it is, and says what else is none', { skip }, async (t) => {
  const folder = await makeTempDir(t)
  const kubo = await startKubo(t)
  const data = join(folder, 'data.json')
  await writeFile(data, '{"Links":[]}')
  const repo = join(folder, 'receiver')
  const cbor = await kubo.ipfs('dag', 'put', '--store-codec=dag-cbor', data)
  const { stderr } = await runP2p(['get', cbor, '-o', join(folder, 'block'), '--peer', kubo.multiaddr], { repo })
  assert.match(stderr, /is a dag-cbor block, not a file or folder/)
  assert.deepEqual(await readFile(join(folder, 'block')), Buffer.from([0xa1, 0x65, ...Buffer.from('Links'), 0x80]))
  const bare = await kubo.ipfs('dag', 'put', '--store-codec=dag-pb', data)
  const refused = await runP2p(['get', bare, '-o', join(folder, 'bare'), '--peer', kubo.multiaddr], { repo })
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /without UnixFS data, so neither a file nor a folder/)
})

test('Kubo fetches from p2p serve by CIDs that it would give itself', { skip }, async (t) => {
  const folder = await makeTempDir(t)
  const samples = await writeSamples(folder)
  const repo = join(folder, 'seeder')
  const cids = await addPaths(repo, ...samples.map(({ path }) => path))
  const serve = await startServe(t, repo)
  const receiver = await startKubo(t)
  const adder = await startKubo(t)
  const output = join(folder, 'output')
  await mkdir(output)
  for (const [index, { name, path }] of samples.entries()) {
    await t.test(name, async () => {
      const cid = cids[index] ?? ''
      assert.equal(cid, await adder.add(path))
      const copy = join(output, basename(path))
      await receiver.get(cid, serve.multiaddr, copy)
      await assertSameContent(copy, path)
    })
  }
})

test('p2p get finds a seeder of its own kind through the DHT that Kubo keeps', { skip }, async (t) => {
  const folder = await makeTempDir(t)
  const kubo = await startKubo(t)
  const file = join(folder, 'file')
  await writeRandomFile(file, 'interop-dht', 2 * MiB)
  const repo = join(folder, 'seeder')
  const cid = await addPath(repo, file)
  const serve = await startServe(t, repo, ['--bootstrap', kubo.multiaddr])
  await serve.announced(cid)
  const copy = join(folder, 'copy')
  const result = await getJson([cid, '-o', copy, '--bootstrap', kubo.multiaddr], { repo: join(folder, 'receiver') })
  assert.deepEqual(
    result.stats.peers.map(({ peerId }) => peerId),
    [serve.peerId],
  )
  await assertSameContent(copy, file)
})

test('Kubo finds p2p serve through the DHT', { skip }, async (t) => {
  const folder = await makeTempDir(t)
  const kubo = await startKubo(t)
  const file = join(folder, 'file')
  await writeRandomFile(file, 'interop-dht', 2 * MiB)
  const repo = join(folder, 'seeder')
  const cid = await addPath(repo, file)
  const serve = await startServe(t, repo, ['--bootstrap', kubo.multiaddr])
  await serve.announced(cid)
  const providers = await kubo.ipfs('routing', 'findprovs', '--num-providers', '1', cid)
  assert.equal(providers, serve.peerId)
})

test('CAR files of Kubo and p2p are the same, and each reads those of the other', { skip }, async (t) => {
  const folder = await makeTempDir(t)
  const repo = join(folder, 'repo')
  const kubo = await startKubo(t)
  const tree = join(folder, 'tree')
  await mkdir(tree)
  await writeRandomFile(join(tree, 'large'), 'interop-car', 3 * MiB)
  for (let index = 0; index < 20; index++) await writeFile(join(tree, `small ${index}`), `${index}`)
  const ours = await addPath(repo, tree)
  const exported = join(folder, 'ours.car')
  assert.equal((await runP2p(['car', 'export', ours, '-o', exported], { repo })).code, 0)
  assert.match(await kubo.ipfs('dag', 'import', exported), new RegExp(`^Pinned root\\s${ours}\\ssuccess$`))
  const ipld = await kubo.ipfs('dag', 'put', '--input-codec', 'dag-json', await jsonFile(folder, ours))
  // Inlined blocks, and a node of another codec above it all.
  for (const cid of [ours, await kubo.ipfs('add', '-Qr', '--inline', '--trickle', tree), ipld]) {
    const theirs = await kubo.exportCar(cid)
    const imported = await runP2p(['car', 'import', '-'], { repo, stdin: [theirs] })
    assert.equal(imported.stdout.toString(), `${cid}\n`, imported.stderr)
    const again = await runP2p(['car', 'export', cid], { repo })
    assert.ok(again.stdout.equals(theirs), cid)
  }
})

async function jsonFile(folder: string, cid: string): Promise<string> {
  const path = join(folder, 'node.json')
  await writeFile(path, JSON.stringify({ name: 'a node', below: [{ '/': cid }] }))
  return path
}
