/** What a download finds that ended after it had put its result in place, at whatever point. */

import assert from 'node:assert/strict'
import { mkdir, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { References } from '../../src/blockstore/references.ts'
import { type Database, openDatabase } from '../../src/database/database.ts'
import { findFinishedResult } from '../../src/files/finished-result.ts'
import { type Output, openOutput } from '../../src/files/output.ts'
import { temporaryPath } from '../../src/files/target.ts'
import { randomBlock } from '../support/blocks.ts'
import { makeTempDir } from '../support/temp.ts'

const ROOT = randomBlock('root', 100).cid
const OTHER_ROOT = randomBlock('other', 100).cid
const { bytes, cid } = randomBlock('content', 1000)

/** A repo in which the process may end: what is opened again knows only what was written. */
class Site {
  readonly target: string
  readonly #folder: string
  #database: Database | undefined
  references!: References

  constructor(folder: string) {
    this.#folder = folder
    this.target = join(folder, 'result')
  }

  async restart(): Promise<void> {
    await this.close()
    this.#database = await openDatabase(join(this.#folder, 'database'))
    this.references = new References(this.#database)
  }

  async close(): Promise<void> {
    this.references?.close()
    await this.#database?.close()
  }

  async output(): Promise<Output> {
    const { target, references } = this
    return await openOutput({ target, root: ROOT, force: false, references, bootId: 'boot' })
  }

  find(root = ROOT, bootId = 'boot') {
    return findFinishedResult(this.references, { target: this.target, root, bootId })
  }
}

async function withSite(t: TestContext, run: (site: Site) => Promise<void>): Promise<void> {
  const site = new Site(await makeTempDir(t))
  await site.restart()
  try {
    await run(site)
  } finally {
    await site.close()
  }
}

async function writeFolder(output: Output): Promise<void> {
  await output.makeFolder([])
  await output.makeFolder(['sub'])
  await output.writeFile({ id: 0, path: ['sub', 'file'], bytes: undefined }, bytes, cid)
  await output.writeFile({ id: 1, path: ['empty'], bytes: undefined }, new Uint8Array(), undefined)
}

/** Runs the end of a download as far as the rename; the process ends before it can note that. */
async function endAtRename(site: Site, output: Output): Promise<void> {
  const finishTree = site.references.finishTree
  site.references.finishTree = async () => {
    throw new Error('the process has ended')
  }
  await assert.rejects(output.finish(), /the process has ended/)
  site.references.finishTree = finishTree
  await output.close()
  await site.restart()
}

describe('the result of a download that could not say so', () => {
  test('a folder, and a file, that were noted', async (t) => {
    for (const write of [
      writeFolder,
      (output: Output) => output.writeFile({ id: 0, path: [], bytes: 1000 }, bytes, cid),
    ]) {
      await withSite(t, async (site) => {
        const output = await site.output()
        await write(output)
        await output.finish()
        await output.close()
        await site.restart()
        assert.deepEqual(await site.find(), { bytes: 1000, isNoted: true })
        assert.equal(await site.find(OTHER_ROOT), undefined)
      })
    }
  })

  test('one that was renamed and not noted is noted when it is found, and served', async (t) => {
    await withSite(t, async (site) => {
      const output = await site.output()
      await writeFolder(output)
      await endAtRename(site, output)
      assert.equal(await site.references.get(cid), undefined)
      assert.deepEqual(await site.find(), { bytes: 1000, isNoted: false })
      assert.deepEqual(await site.find(), { bytes: 1000, isNoted: true })
      assert.equal(await site.find(ROOT, 'after a power cut'), undefined)
      assert.deepEqual(Buffer.from((await site.references.get(cid))!), Buffer.from(bytes))
    })
  })

  test('a folder without files', async (t) => {
    await withSite(t, async (site) => {
      const output = await site.output()
      await output.makeFolder([])
      await endAtRename(site, output)
      assert.deepEqual(await site.find(), { bytes: 0, isNoted: false })
      await rm(site.target, { recursive: true })
      assert.equal(await site.find(), undefined)
    })
  })

  test('what is not whole is none, even if somebody has moved it there', async (t) => {
    await withSite(t, async (site) => {
      const output = await site.output()
      await writeFolder(output)
      await output.close()
      await site.restart()
      await rename(temporaryPath(site.target, ROOT), site.target)
      assert.equal(await site.find(), undefined)
    })
  })

  test('what was changed since, or is another thing, is none', async (t) => {
    await withSite(t, async (site) => {
      const output = await site.output()
      await writeFolder(output)
      await output.finish()
      await output.close()
      const file = join(site.target, 'sub', 'file')
      await utimes(file, 1, 1)
      assert.equal(await site.find(), undefined)
      await rm(file)
      assert.equal(await site.find(), undefined)
      await rm(site.target, { recursive: true })
      assert.equal(await site.find(), undefined)
      await writeFile(site.target, bytes)
      assert.equal(await site.find(), undefined)
      await rm(site.target)
      await mkdir(site.target)
      assert.equal(await site.find(), undefined)
    })
  })
})
