import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Bundle } from '../../src/cli/bundle.ts'
import { makeTempDir } from '../support/temp.ts'

const CODE = `code-${process.arch}`

test('a bundle runs each file once, whoever asks for it', async (t) => {
  const folder = await makeFiles(t, {
    'main.js':
      "exports.sum = require('./one.js').next() + require('./one.js').next(); exports.sep = require('node:path').sep",
    'one.js': 'let calls = 0; exports.next = () => ++calls',
  })
  assert.deepEqual(new Bundle(folder).load('main.js'), { sum: 3, sep: '/' })
})

test('a bundle runs the same with the code that was kept, and with code that is of no use', async (t) => {
  const folder = await makeFiles(t, {
    'main.js': "exports.name = () => require('./two.js').name() + '!'",
    'two.js': "exports.name = () => 'two'",
  })
  const run = (bundle: Bundle) => (bundle.load('main.js') as { name(): string }).name()

  const first = new Bundle(folder)
  assert.equal(run(first), 'two!')
  first.saveCode()
  assert.deepEqual((await readdir(join(folder, CODE))).sort(), ['main.js', 'two.js'])
  assert.equal(run(new Bundle(folder)), 'two!')

  const code = await readFile(join(folder, CODE, 'two.js'))
  for (const bad of [Buffer.alloc(0), code.subarray(0, code.byteLength / 2), Buffer.alloc(code.byteLength, 1)]) {
    await writeFile(join(folder, CODE, 'two.js'), bad)
    assert.equal(run(new Bundle(folder)), 'two!')
  }
})

async function makeFiles(t: TestContext, files: Record<string, string>): Promise<string> {
  const folder = await makeTempDir(t)
  for (const [name, source] of Object.entries(files)) await writeFile(join(folder, name), source)
  return folder
}
