import assert from 'node:assert/strict'
import { statSync, writeFileSync } from 'node:fs'
import { appendFile, mkdir, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { MiB } from '../../src/common/units.ts'
import {
  type FolderPlace,
  inspectPath,
  type LocalEntry,
  listFolder,
  readFileContent,
  readSymlink,
  scanTree,
  type TreeOptions,
  topFolder,
} from '../../src/files/tree.ts'
import { randomBytes } from '../support/bytes.ts'
import { makePipe } from '../support/special-files.ts'
import { makeTempDir } from '../support/temp.ts'

const VISIBLE = { hidden: false }

function place(path: string): FolderPlace {
  return topFolder(path, { identity: '0-0' })
}

async function list(path: string, options: TreeOptions): Promise<{ parts: LocalEntry[][]; skippedHidden: number }> {
  const { parts, skippedHidden } = await listFolder(place(path), options)
  const all: LocalEntry[][] = []
  for await (const part of parts) all.push(part)
  return { parts: all, skippedHidden }
}

async function contentOf(path: string): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of readFileContent(path)) pieces.push(piece)
  return Buffer.concat(pieces)
}

test('files of all sizes around a piece are read whole, in pieces of 1 MiB', async (t) => {
  const path = join(await makeTempDir(t), 'file')
  for (const size of [0, 1, MiB - 1, MiB, MiB + 1, 2 * MiB, 3 * MiB - 1]) {
    const content = randomBytes('tree', size)
    await writeFile(path, content)
    assert.ok((await contentOf(path)).equals(content), `${size} bytes`)
  }
  const sizes: number[] = []
  for await (const piece of readFileContent(path)) sizes.push(piece.length)
  assert.deepEqual(sizes, [MiB, MiB, MiB - 1])
})

test('a file that grows or shrinks while it is read is an error', async (t) => {
  const path = join(await makeTempDir(t), 'file')
  const changes = [() => appendFile(path, 'x'), () => truncate(path, 2 * MiB - 1), () => truncate(path, MiB)]
  for (const change of changes) {
    await writeFile(path, randomBytes('tree', 2 * MiB))
    const pieces = readFileContent(path)
    await pieces.next()
    await change()
    await assert.rejects(
      async () => {
        for await (const _piece of pieces);
      },
      { code: 'io', message: /changed while it was read/ },
    )
  }
})

test('what takes the place of a listed file is not read', async (t) => {
  const folder = await makeTempDir(t)
  await writeFile(join(folder, 'secret'), 'secret')
  await symlink('secret', join(folder, 'link'))
  makePipe(join(folder, 'pipe'))
  for (const name of ['link', 'pipe', '.', 'gone']) {
    await assert.rejects(contentOf(join(folder, name)), { code: 'io' }, name)
  }
})

test('a reader that stops early lets go of the file, and an aborted one rejects with the reason', async (t) => {
  const path = join(await makeTempDir(t), 'file')
  await writeFile(path, randomBytes('tree', 2 * MiB))
  for await (const _piece of readFileContent(path)) break
  const reason = new Error('stop')
  const controller = new AbortController()
  const pieces = readFileContent(path, controller)
  await pieces.next()
  controller.abort(reason)
  await assert.rejects(pieces.next(), reason)
})

test('a folder is listed in the order of names, without what is hidden', async (t) => {
  const folder = await makeTempDir(t)
  for (const name of ['b', 'a', 'Z', '\u{1f600}', '\uffee', '.dot', '..dots', ' space'])
    await writeFile(join(folder, name), name)
  await mkdir(join(folder, 'sub'))
  await mkdir(join(folder, '.git'))
  await symlink('nowhere', join(folder, 'link'))
  const sub = statSync(join(folder, 'sub'))
  const { parts, skippedHidden } = await list(folder, VISIBLE)
  assert.equal(skippedHidden, 3)
  assert.deepEqual(parts.flat(), [
    { kind: 'file', name: ' space', bytes: 6 },
    { kind: 'file', name: 'Z', bytes: 1 },
    { kind: 'file', name: 'a', bytes: 1 },
    { kind: 'file', name: 'b', bytes: 1 },
    { kind: 'symlink', name: 'link' },
    { kind: 'folder', name: 'sub', identity: `${sub.dev}-${sub.ino}` },
    { kind: 'file', name: '\u{1f600}', bytes: 4 },
    { kind: 'file', name: '\uffee', bytes: 3 },
  ])
  const all = await list(folder, { hidden: true })
  assert.equal(all.parts.flat().length, 11)
  assert.equal(all.skippedHidden, 0)
})

test('a wide folder is listed in parts, so that few of its entries are in memory', async (t) => {
  const folder = await makeTempDir(t)
  const names = Array.from({ length: 5_000 }, (_, index) => `${index}`)
  for (const name of names) writeFileSync(join(folder, name), '')
  const { parts } = await list(folder, VISIBLE)
  assert.deepEqual(
    parts.flat().map(({ name }) => name),
    names.toSorted(),
  )
  assert.ok(parts.every((part) => part.length <= 2_048))
})

test('links are read as they are written', async (t) => {
  const folder = await makeTempDir(t)
  await symlink('../ä/nowhere', join(folder, 'link'))
  assert.equal(await readSymlink(join(folder, 'link')), '../ä/nowhere')
  assert.deepEqual(await inspectPath(join(folder, 'link')), { kind: 'symlink', name: 'link' })
})

test('a scan adds up sizes and names everything that cannot be added', async (t) => {
  const folder = await makeTempDir(t)
  await mkdir(join(folder, 'a/b'), { recursive: true })
  await writeFile(join(folder, 'a/one'), 'x'.repeat(100))
  await writeFile(join(folder, 'a/b/two'), 'x'.repeat(11))
  await writeFile(join(folder, 'a/.hidden'), 'x'.repeat(1000))
  assert.deepEqual(await scanTree(folder, VISIBLE), { bytes: 111, files: 2, problems: [], skippedHidden: 1 })
  assert.equal((await scanTree(folder, { hidden: true })).bytes, 1111)
  assert.equal((await scanTree(join(folder, 'a/.hidden'), VISIBLE)).bytes, 1000)

  makePipe(join(folder, 'a/b/pipe'))
  await writeFile(Buffer.concat([Buffer.from(`${folder}/bad`), Buffer.of(0xff)]), 'x')
  const { bytes, problems } = await scanTree(folder, VISIBLE)
  assert.equal(bytes, 111)
  assert.deepEqual(
    problems.map(({ code, message }) => [code, message]),
    [
      ['io', `Cannot add ${folder}/bad\ufffd: its name is not valid UTF-8`],
      ['io', `Cannot add ${folder}/a/b/pipe: it is a named pipe, not a file, folder or symlink`],
    ],
  )
})

test('what does not exist is not found; what cannot be read is told', async (t) => {
  const folder = await makeTempDir(t)
  await assert.rejects(inspectPath(join(folder, 'gone')), { code: 'not-found' })
  await assert.rejects(scanTree(join(folder, 'gone'), VISIBLE), { code: 'not-found' })
  await writeFile(join(folder, 'file'), 'x')
  await assert.rejects(inspectPath(join(folder, 'file/below')), { code: 'io', message: /ENOTDIR/ })
  await assert.rejects(listFolder(place(join(folder, 'file')), VISIBLE), { code: 'io', message: /ENOTDIR/ })
})
