import assert from 'node:assert/strict'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { hasCode } from '../../src/common/errors.ts'
import { scanTree, type TreeOptions } from '../../src/files/tree.ts'
import { MAX_SMALL_BYTES, TreeReader } from '../../src/files/tree-reader.ts'
import { randomBytes } from '../support/bytes.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { makePipe } from '../support/special-files.ts'
import { makeTempDir } from '../support/temp.ts'

/** A reader that is in use already. */
async function startReader(t: TestContext, options = {}): Promise<TreeReader> {
  const reader = new TreeReader(options)
  cleanUpAfter(t, () => reader.close())
  assert.equal(reader.takes(1), false, 'not for one file')
  assert.equal(reader.takes(1000), true)
  await reader.look('/', ['tmp'], {})
  return reader
}

test('many small files are read at once, and larger ones not', async (t) => {
  const folder = await makeTempDir(t)
  const reader = await startReader(t)
  const sizes = [0, 1, 4096, MAX_SMALL_BYTES - 1, MAX_SMALL_BYTES, ...Array.from({ length: 95 }, (_, index) => index)]
  const files = sizes.map((size, index) => ({ path: join(folder, `${index}`), content: randomBytes(`${index}`, size) }))
  for (const { path, content } of files) await writeFile(path, content)
  await writeFile(join(folder, 'larger'), randomBytes('larger', MAX_SMALL_BYTES + 1))
  const larger = reader.read(join(folder, 'larger'))
  const read = await Promise.all(files.map(({ path }) => reader.read(path)))
  for (const [index, { content }] of files.entries()) {
    assert.deepEqual(Buffer.from(read[index]!.content), Buffer.from(content))
    assert.equal(read[index]!.size, content.byteLength)
  }
  assert.equal(await larger, undefined)
})

test('what is no file, has gone, or is a link that is not to be followed is an error, and others are read', async (t) => {
  const folder = await makeTempDir(t)
  await writeFile(join(folder, 'file'), 'content')
  await symlink('file', join(folder, 'link'))
  makePipe(join(folder, 'pipe'))
  const reader = await startReader(t)
  const read = (name: string) => reader.read(join(folder, name))
  const fails = (name: string, message: RegExp) =>
    assert.rejects(read(name), (error) => hasCode(error, 'io') && message.test(error.message))
  await Promise.all([
    fails('gone', /ENOENT/),
    fails('link', /ELOOP/),
    fails('pipe', /changed while it was read/),
    fails('.', /changed while it was read/),
    read('file').then((file) => assert.equal(Buffer.from(file!.content).toString(), 'content')),
  ])
  const following = await startReader(t, { followLinks: true })
  assert.equal((await following.read(join(folder, 'link')))?.size, 7)
})

test('a tree is the same whether its entries are looked at one by one or many in one go', async (t) => {
  const folder = await makeTempDir(t)
  for (let index = 0; index < 30; index++) {
    const inner = join(folder, `folder ${index % 3}`, `${index}`)
    await mkdir(inner, { recursive: true })
    for (const name of ['one', 'two', '.hidden']) await writeFile(join(inner, name), `${name} ${index}`)
    await symlink('one', join(inner, 'link'))
    await symlink('nowhere', join(inner, 'lost'))
  }
  await symlink('.', join(folder, 'loop'))
  makePipe(join(folder, 'pipe'))
  const ways: TreeOptions[] = [
    { hidden: false, withStamps: true },
    { hidden: true, withStamps: true, withMetadata: true },
    { hidden: false, followLinks: true, withStamps: true },
  ]
  for (const options of ways) {
    const reader = await startReader(t, options)
    const [alone, together] = [await scanTree(folder, options), await scanTree(folder, { ...options, reader })]
    const told = ({ problems, ...rest }: typeof alone) => ({
      ...rest,
      problems: problems.map(({ message }) => message),
    })
    assert.ok(alone.problems.length > 0 && alone.files > 50)
    assert.deepEqual(told(together), told(alone))
  }
})
