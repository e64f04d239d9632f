/** `p2p` and Kubo, the reference implementation of IPFS: each fetches from the other, and CIDs are the same. */

import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { encode, prepare } from '@ipld/dag-pb'
import { MiB } from '../../src/common/units.ts'
import { parseCid } from '../../src/dag/cid.ts'
import type { DagStatResult } from '../../src/node/api/blocks.ts'
import { describeMetadata, writeRandomFile } from '../support/bytes.ts'
import { initKubo, type KuboProfile, noKubo, startKubo } from '../support/kubo.ts'
import { addPath, addPaths, getJson, lastEvent, runP2p, startServe } from '../support/processes.ts'
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

test('mode and time above raw leaves, which only p2p writes, are read by Kubo', { skip }, async (t) => {
  const folder = await makeTempDir(t)
  const { tree } = await writeOddities(folder)
  const repo = join(folder, 'seeder')
  const { stdout } = await runP2p(['add', '--preserve-mode', '--preserve-mtime', tree], { repo })
  const serve = await startServe(t, repo)
  const kubo = await startKubo(t)
  const copy = join(folder, 'copy')
  await kubo.get(stdout.toString().trim(), serve.multiaddr, copy)
  await assertSameContent(copy, tree)
  assert.deepEqual(await describeMetadata(copy), await describeMetadata(tree))
})

test('a folder of 40,000 names in one block, as Kubo can be told to write it, is read', { skip }, async (t) => {
  const folder = await makeTempDir(t)
  const kubo = await initKubo(t, 'unixfs-v1-2025')
  const repo = join(folder, 'repo')
  const file = join(folder, 'x')
  await writeFile(file, 'x')
  // Of all names the same file: what is wanted of Kubo is the folder.
  const wide = wideFolder(await kubo('add', '--quieter', file))
  const root = await kubo('block', 'put', '--cid-codec=dag-pb', await savedBytes(folder, wide))
  const putBlock = async (args: string[], stdin: Uint8Array[]) =>
    assert.equal((await runP2p(['block', 'put', ...args], { repo, stdin })).code, 0)
  await putBlock([], [Buffer.from('x')])
  await putBlock(['--codec', 'dag-pb'], [wide])
  const listed = await runP2p(['ls', root, '--offline'], { repo })
  const lines = (await kubo('ls', '--size=false', '--resolve-type=false', root)).split('\n')
  assert.deepEqual(
    listed.stdout.toString().trimEnd().split('\n'),
    lines.map((line) => line.split(' ')[1]),
  )
  const copy = join(folder, 'copy')
  const got = await runP2p(['get', root, '-o', copy, '--offline'], { repo })
  assert.equal(got.code, 0, got.stderr)
  assert.equal((await readdir(copy)).length, 40_000)
  assert.equal(await readFile(join(copy, '39999'), 'utf8'), 'x')
})

test('blocks and figures of DAGs are told as Kubo tells them', { skip }, async (t) => {
  const folder = await makeTempDir(t)
  const kubo = await startKubo(t)
  const repo = join(folder, 'repo')
  const p2p = async (args: string[], stdin: Uint8Array[] = []) => {
    const { code, stdout, stderr } = await runP2p(args, { repo, stdin })
    assert.equal(code, 0, stderr)
    return stdout
  }
  const data = Buffer.from('{"a":[1,2,3]}')
  const file = await savedBytes(folder, data)
  for (const [codec, hash] of [
    ['raw', 'sha2-256'],
    ['raw', 'blake3'],
    ['raw', 'identity'],
    ['dag-json', 'sha3-512'],
    ['json', 'blake2b-256'],
    ['git-raw', 'sha1'],
  ] as const) {
    const cid = await kubo.ipfs('block', 'put', `--cid-codec=${codec}`, `--mhtype=${hash}`, file)
    assert.equal((await p2p(['block', 'put', '--codec', codec, '--hash', hash], [data])).toString(), `${cid}\n`)
    assert.equal((await p2p(['block', 'stat', cid])).toString(), `${cid}  ${data.byteLength}\n`)
    assert.match(await kubo.ipfs('block', 'stat', cid), new RegExp(`^Key: ${cid}\nSize: ${data.byteLength}$`))
    assert.deepEqual(await p2p(['block', 'get', cid]), data)
  }

  const { tree, many } = await writeOddities(folder)
  const roots = [
    await kubo.ipfs('add', '--recursive', '--quieter', '--inline', '--trickle', '--chunker=size-5000', tree),
    await kubo.ipfs('add', '--recursive', '--quieter', '--max-directory-links=2', many),
    await kubo.ipfs('add', '--recursive', '--quieter', '--chunker=size-5000', tree),
  ]
  roots.push(await kubo.ipfs('dag', 'put', '--input-codec', 'dag-json', await jsonFile(folder, roots[1]!)))
  for (const root of roots) await p2p(['car', 'import', '-'], [await kubo.exportCar(root)])
  const theirs = JSON.parse(await kubo.ipfs('dag', 'stat', '--progress=false', '--enc=json', ...roots))
  const ours = lastEvent(await p2p(['dag', 'stat', ...roots, '--json'])) as unknown as DagStatResult
  assert.deepEqual(
    ours.dags.map(({ cid, blocks, blockBytes }) => ({ Cid: cid, NumBlocks: blocks, Size: blockBytes })),
    theirs.DagStats,
  )
  assert.deepEqual([ours.blocks, ours.blockBytes], [theirs.UniqueBlocks, theirs.TotalSize])
})

test('CIDs are written and explained as Kubo does', { skip }, async (t) => {
  const folder = await makeTempDir(t)
  const kubo = await initKubo(t, 'unixfs-v1-2025')
  const given = [
    'bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354',
    'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn',
    'bafkqaaly',
    'bafzbeicdjpbay34az7pb7vwi2r2ofwy2tkdp7emnvuzgyu6laksphgpabm',
    'bafkr4ialrnqcjd5npldn7lbcdn7adkfzdr3siinblm4h3up3fvvjjlxeha',
    'k2jmtxvxs77s2pgeuodnjr5q4zirbmzfpb73yxtifgucr46xixvuyp65',
    'bafyreifsz7r44qeghdpw5jwcw4yihreqjaegttla7i4a743itg57pozlbq',
  ]
  const p2p = async (...args: string[]) => (await runP2p(['cid', ...args], { repo: folder })).stdout.toString()
  for (const base of ['base32', 'base36', 'base58btc', 'base64url', 'base16', 'base32upper']) {
    assert.equal(
      await p2p('--base', base, ...given),
      `${await kubo('cid', 'format', '-v=1', `-b=${base}`, ...given)}\n`,
    )
  }
  assert.equal(await p2p('--v0', given[0]!), `${await kubo('cid', 'format', '-v=0', given[0]!)}\n`)
  const { cids } = lastEvent(Buffer.from(await p2p('--json', ...given))) as unknown as {
    cids: Record<string, string>[]
  }
  for (const [index, { version, codec, hash, digestBytes, digest, base }] of cids.entries()) {
    const told = await kubo('cid', 'format', '-f=%V|%c|%h|%L|%b', given[index]!)
    assert.equal([version, codec, hash, digestBytes, base].join('|'), told)
    assert.equal(`f${digest}`, await kubo('cid', 'format', '-v=1', '-f=%d', '-b=base16', given[index]!))
  }
})

/** The bytes of a folder in one block of nearly 2 MiB. */
function wideFolder(entry: string): Uint8Array {
  const cid = parseCid(entry)
  const links = Array.from({ length: 40_000 }, (_, index) => String(index).padStart(5, '0'))
  return encode(
    prepare({ Data: Buffer.from('0801', 'hex'), Links: links.map((Name) => ({ Name, Hash: cid, Tsize: 1 })) }),
  )
}

async function savedBytes(folder: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, 'bytes')
  await writeFile(path, bytes)
  return path
}

async function jsonFile(folder: string, cid: string): Promise<string> {
  const path = join(folder, 'node.json')
  await writeFile(path, JSON.stringify({ name: 'a node', below: [{ '/': cid }] }))
  return path
}
