/**
 * Trees that try to lead outside the target, through a whole `get` from a real seeder: what is dangerous is left out and
 * named, all else arrives, and nothing is written anywhere but at the target.
 */

import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import type { Block } from '../../src/dag/block.ts'
import { bucketAt, hashName } from '../../src/unixfs/shard.ts'
import { rawBlock } from '../support/blocks.ts'
import { describeTree, sha256 } from '../support/bytes.ts'
import type { CleanUpScope } from '../support/clean-up.ts'
import { type Entry, folderBlock, shardBlock, symlinkBlock } from '../support/hostile-trees.ts'
import { type FinishedP2p, lastEvent, runP2p, type Serve, startServe } from '../support/processes.ts'
import { makeRepoOf } from '../support/stored-blocks.ts'
import { makeTempDir } from '../support/temp.ts'

/** A tree under construction: keeps its blocks for the seeder. */
class Tree {
  readonly blocks: Block[] = []

  keep(block: Block): Block {
    this.blocks.push(block)
    return block
  }

  file(content: string): Block {
    return this.keep(rawBlock(Buffer.from(content)))
  }

  link(target: string): Block {
    return this.keep(symlinkBlock(target))
  }

  folder(entries: Entry[]): Block {
    return this.keep(folderBlock(entries))
  }

  shard(...buckets: [number, Entry][]): Block {
    return this.keep(shardBlock(new Map(buckets)))
  }
}

async function seed(scope: CleanUpScope, repo: string, { blocks }: Tree): Promise<Serve> {
  await makeRepoOf(repo, blocks)
  return await startServe(scope, repo)
}

/** Gets the tree into `<folder>/downloads/result`; fails if anything else in `folder` but the repos has changed. */
async function getTree(scope: CleanUpScope, tree: Tree, root: Block): Promise<{ result: string; end: FinishedP2p }> {
  const folder = await makeTempDir(scope)
  const downloads = join(folder, 'downloads')
  for (const path of ['outside', 'downloads/outside', 'cwd']) await mkdir(join(folder, path), { recursive: true })
  const { multiaddr } = await seed(scope, join(folder, 'seeder'), tree)
  const result = join(downloads, 'result')
  const args = ['get', root.cid.toString(), '-o', result, '--peer', multiaddr, '--json']
  const end = await runP2p(args, { repo: join(folder, 'receiver'), cwd: join(folder, 'cwd') })
  const outside = (await describeTree(folder)).filter((line) => !/^(seeder|receiver|downloads\/result)\//.test(line))
  assert.deepEqual(outside, ['cwd/', 'downloads/', 'downloads/outside/', 'outside/'], end.stderr)
  return { result, end }
}

function skippedNames({ stdout }: FinishedP2p): string[] {
  const { skipped, skippedCount } = lastEvent(stdout)
  const entries = skipped as { name: string }[]
  assert.equal(skippedCount, entries.length)
  return entries.map(({ name }) => name).toSorted()
}

test('names and links that lead outside are left out, odd ones arrive: exit 10', async (t) => {
  const tree = new Tree()
  const bad = tree.file('bad')
  const badNames = [
    ...['', '.', '..', 'a/b', '/tmp/absolute', '../outside/escaped', '../../outside/escaped', 'nul\0name'],
    ...['x'.repeat(300), 'ü'.repeat(128)],
  ]
  const oddNames = [
    ...['back\\slash', '..\\..\\up', 'C:drive', 'line\nbreak', '\u001b[2Jclear', 'gpj.\u202etxt'],
    ...['.git', '...', '-rf', '~', ' space ', 'Case', 'case', 'CON', 'ünï', '$(id)', 'y'.repeat(255)],
  ]
  const inner = tree.folder([
    ['..', bad],
    ['../../up', bad],
    ['kept', tree.file('kept below')],
    ['legal-link', tree.link('../Case')],
    ['too-far', tree.link('../../outside')],
  ])
  const root = tree.folder([
    ...badNames.map((name): Entry => [name, bad]),
    ...oddNames.map((name): Entry => [name, tree.file(`odd ${name}`)]),
    ['absolute', tree.link('/etc')],
    ['up', tree.link('../outside')],
    ['round-about', tree.link('inner/../../outside')],
    ['inner', inner],
    // What came first stays; a folder behind a link of its name would be written where the link leads.
    ['twice', tree.file('first')],
    ['twice', bad],
    ['way', tree.link('inner')],
    ['way', tree.folder([['through', bad]])],
    ['way-out', tree.link('../outside')],
    ['way-out', tree.folder([['through', bad]])],
  ])

  const { result, end } = await getTree(t, tree, root)
  assert.equal(end.code, 10, end.stderr)
  const badBelow = ['inner/..', 'inner/../../up', 'inner/too-far']
  const badLinks = ['absolute', 'up', 'round-about', 'twice', 'way', 'way-out', 'way-out']
  assert.deepEqual(skippedNames(end), [...badNames, ...badBelow, ...badLinks].toSorted())
  assert.deepEqual(
    await describeTree(result),
    [
      ...oddNames.map((name) => `${name} ${sha256(Buffer.from(`odd ${name}`))}`),
      'inner/',
      `inner/kept ${sha256(Buffer.from('kept below'))}`,
      'inner/legal-link -> ../Case',
      `twice ${sha256(Buffer.from('first'))}`,
      'way -> inner',
    ].toSorted(),
  )
})

test('a sharded folder has each name once, whatever its shards say', async (t) => {
  const tree = new Tree()
  const bucketOf = (name: string, depth: number) => bucketAt(hashName(name), depth, 8)!
  const wrong = (bucket: number) => (bucket + 1) % 8
  const bad = tree.file('bad')
  const [at0, at1] = [bucketOf('way', 0), bucketOf('way', 1)]
  // The link is where it belongs; a folder and a file of its name are in shards that are no part of its way.
  const behind = tree.shard([at1, ['way', tree.folder([['through', bad]])]], [wrong(at1), ['way', bad]])
  const own = tree.shard([at1, ['way', tree.link('elsewhere')]], [wrong(at1), ['way', bad]])
  const root = tree.shard([at0, ['', own]], [wrong(at0), ['', behind]], [wrong(wrong(at0)), ['way', bad]])

  const { result, end } = await getTree(t, tree, root)
  assert.equal(end.code, 10, end.stderr)
  assert.deepEqual(skippedNames(end), ['way', 'way', 'way', 'way'])
  assert.deepEqual(await describeTree(result), ['way -> elsewhere'])
})

test('of a thousand and more that are left out the first are named, and the rest are counted', async (t) => {
  const tree = new Tree()
  const bad = tree.file('bad')
  const root = tree.folder(Array.from({ length: 1005 }, (_, index): Entry => [`a/${index}`, bad]))
  const { end } = await getTree(t, tree, root)
  assert.equal(end.code, 10, end.stderr)
  const { skipped, skippedCount } = lastEvent(end.stdout)
  assert.deepEqual([(skipped as unknown[]).length, skippedCount], [1000, 1005])
})

test('refused names reach the terminal without their power over it', async (t) => {
  const tree = new Tree()
  const root = tree.folder([['/\u001b]0;title\u0007\u202e', tree.file('bad')]])
  const folder = await makeTempDir(t)
  const { multiaddr } = await seed(t, join(folder, 'seeder'), tree)
  const args = ['get', root.cid.toString(), '-o', join(folder, 'result'), '--peer', multiaddr]
  const { code, stderr } = await runP2p(args, { repo: join(folder, 'receiver') })
  assert.equal(code, 10, stderr)
  assert.ok(stderr.includes(String.raw`"/\u{1b}]0;title\u{7}\u{202e}" is left out`), stderr)
  for (const character of '\u001b\u0007\u202e') assert.ok(!stderr.includes(character))
})
