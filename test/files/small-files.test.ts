import assert from 'node:assert/strict'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { hasCode } from '../../src/common/errors.ts'
import { MiB } from '../../src/common/units.ts'
import { MAX_SMALL_FILE_BYTES, SmallFiles } from '../../src/files/small-files.ts'
import { randomBytes } from '../support/bytes.ts'
import { makeTempDir } from '../support/temp.ts'

test('writes more at once than goes into one request, and replaces what was there', async (t) => {
  const folder = await makeTempDir(t)
  const files = new SmallFiles()
  const count = (12 * MiB) / MAX_SMALL_FILE_BYTES
  for (const round of ['first', 'second']) {
    const contents = Array.from({ length: count }, (_, index) => randomBytes(`${round} ${index}`, MAX_SMALL_FILE_BYTES))
    await Promise.all(contents.map((content, index) => files.write({ path: join(folder, `${index}`), content })))
    for (const [index, content] of contents.entries()) {
      assert.deepEqual(await readFile(join(folder, `${index}`)), Buffer.from(content))
    }
  }
  await files.close()
  assert.equal((await readdir(folder)).length, count)
})

test('goes on after a file that cannot be written, and after it was closed', async (t) => {
  const folder = await makeTempDir(t)
  await mkdir(join(folder, 'taken'))
  const files = new SmallFiles()
  const content = randomBytes('small', 10)
  await assert.rejects(files.write({ path: join(folder, 'taken'), content }), (error) => hasCode(error, 'io'))
  await files.close()
  assert.ok((await files.write({ path: join(folder, 'free'), content })) > 0n)
  await files.close()
})
