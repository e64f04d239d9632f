import assert from 'node:assert/strict'
import { access, chmod, lstat, mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { References } from '../../src/blockstore/references.ts'
import { hasCode } from '../../src/common/errors.ts'
import { MiB } from '../../src/common/units.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { openDatabase } from '../../src/database/database.ts'
import { openOutput } from '../../src/files/output.ts'
import { randomBlock } from '../support/blocks.ts'
import { describeMetadata } from '../support/bytes.ts'
import { makePipe } from '../support/special-files.ts'
import { makeTempDir } from '../support/temp.ts'

/** A user who owns nothing. */
const NOBODY = 65534
const ROOT = randomBlock('root', 100).cid

interface Setting {
  folder: string
  references: References
  open: (options?: { force?: boolean; bootId?: string; target?: string }) => ReturnType<typeof openOutput>
}

async function inRepo(t: TestContext, run: (setting: Setting) => Promise<void>): Promise<void> {
  const folder = await makeTempDir(t)
  const database = await openDatabase(join(folder, 'database'))
  const references = new References(database)
  const open: Setting['open'] = ({ force = false, bootId = 'boot', target = join(folder, 'result') } = {}) =>
    openOutput({ target, root: ROOT, force, references, bootId })
  try {
    await run({ folder, references, open })
  } finally {
    references.close()
    await database.close()
  }
}

const file = (bytes: number, ...path: string[]) => ({ id: 0, path, bytes })
const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

describe('output of get', () => {
  test('a file appears under its name when it is whole, with nothing left beside it', async (t) => {
    await inRepo(t, async ({ folder, open, references }) => {
      const [first, second] = [randomBlock('first', 1000), randomBlock('second', 500)]
      const output = await open()
      const target = file(1500)
      await output.openFile(target)
      await output.write({ file: target, offset: 1000 }, second.bytes, second.cid)
      assert.equal(await isThere(join(folder, 'result')), false)
      await output.write({ file: target, offset: 0 }, first.bytes, first.cid)
      await output.closeFile(target)
      await output.finish()
      await output.close()
      assert.deepEqual(await readFile(join(folder, 'result')), Buffer.concat([first.bytes, second.bytes]))
      assert.deepEqual((await readdir(folder)).toSorted(), ['database', 'result'])
      assert.deepEqual(Buffer.from((await references.get(second.cid))!), Buffer.from(second.bytes))
    })
  })

  test('a target that exists is refused and left alone, whatever it is', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      await symlink('nowhere', join(folder, 'result'))
      await assert.rejects(open(), (error) => hasCode(error, 'target-exists'))
      assert.equal(await readlink(join(folder, 'result')), 'nowhere')
    })
  })

  test('a pipe or a device is never replaced, with force either', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      const pipe = join(folder, 'result')
      await makePipe(pipe)
      for (const force of [false, true]) {
        await assert.rejects(
          open({ force }),
          (error) => hasCode(error, 'target-exists') && /never replaced/.test(error.message),
        )
      }
      assert.ok((await lstat(pipe)).isFIFO())
    })
  })

  test('a link by itself is no result, and what it leads to is named', async (t) => {
    await inRepo(t, async ({ open }) => {
      const output = await open()
      await assert.rejects(
        output.makeLink([], 'sub/file'),
        (error) => hasCode(error, 'usage') && /"sub\/file"/.test(error.message),
      )
      await output.close()
    })
  })

  test('a target that comes up meanwhile is not overwritten', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      const output = await open()
      await output.writeFile(file(0), new Uint8Array(), undefined)
      await writeFile(join(folder, 'result'), 'mine')
      await assert.rejects(output.finish(), (error) => hasCode(error, 'target-exists'))
      await output.close()
      assert.equal(await readFile(join(folder, 'result'), 'utf8'), 'mine')
    })
  })

  test('with force a whole folder is replaced', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      await mkdir(join(folder, 'result'))
      await writeFile(join(folder, 'result', 'old'), 'old')
      const output = await open({ force: true })
      const block = randomBlock('new', 10)
      const target = file(10, 'sub', 'new')
      await output.makeFolder([])
      await output.makeFolder(['sub'])
      await output.writeFile(target, block.bytes, block.cid)
      assert.equal(await readFile(join(folder, 'result', 'old'), 'utf8'), 'old')
      await output.finish()
      await output.close()
      assert.deepEqual(await readdir(join(folder, 'result')), ['sub'])
      assert.deepEqual((await readdir(folder)).toSorted(), ['database', 'result'])
    })
  })

  test('a folder is never replaced by a file, with force either', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      await mkdir(join(folder, 'result'))
      await writeFile(join(folder, 'result', 'mine'), 'mine')
      const output = await open({ force: true })
      await assert.rejects(output.openFile(file(10)), (error) => hasCode(error, 'target-exists'))
      await output.close()
      assert.deepEqual((await readdir(folder)).toSorted(), ['database', 'result'])
    })
  })

  test('what one run has written the next one knows without reading it', async (t) => {
    await inRepo(t, async ({ open }) => {
      const [first, second] = [randomBlock('first', MiB), randomBlock('second', MiB)]
      const interrupted = await open()
      const target = file(2 * MiB)
      await interrupted.openFile(target)
      await interrupted.write({ file: target, offset: 0 }, first.bytes, first.cid)
      await interrupted.close()

      const resumed = await open()
      assert.ok(resumed.resumes)
      await resumed.openFile(target)
      assert.equal(await resumed.placedBytes(first.cid, { file: target, offset: 0 }), MiB)
      assert.equal(await resumed.placedBytes(first.cid, { file: target, offset: MiB }), undefined)
      assert.equal(await resumed.placedBytes(second.cid, { file: target, offset: MiB }), undefined)
      await resumed.close()
    })
  })

  test('what is no longer there is not believed, in the same boot either', async (t) => {
    await inRepo(t, async ({ folder, open, references }) => {
      const block = randomBlock('block', 1000)
      const target = file(2000)
      const interrupted = await open()
      await interrupted.openFile(target)
      await interrupted.write({ file: target, offset: 0 }, block.bytes, block.cid)
      await interrupted.close()
      const [temporary] = (await readdir(folder)).filter((name) => name.endsWith('.p2p'))
      await rm(join(folder, temporary!))

      const resumed = await open()
      assert.equal(await resumed.placedBytes(block.cid, { file: target, offset: 0 }), undefined)
      assert.equal(await references.get(block.cid), undefined)
      await resumed.close()
    })
  })

  test('many large files are synced in the background and whole in the end, and none stays open', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      const output = await open()
      await output.makeFolder([])
      const block = randomBlock('large', 2 * MiB)
      const openBefore = (await readdir('/proc/self/fd').catch(() => [])).length
      let next = 0
      const lane = async () => {
        while (next < 150) {
          const target = { id: next, path: [`f${next}`], bytes: 2 * MiB }
          next++
          await output.openFile(target)
          await output.write({ file: target, offset: 0 }, block.bytes, block.cid)
          await output.closeFile(target)
        }
      }
      await Promise.all(Array.from({ length: 32 }, lane))
      await output.finish()
      await output.close()
      assert.equal((await readdir(join(folder, 'result'))).length, 150)
      assert.ok((await readdir('/proc/self/fd').catch(() => [])).length <= openBefore)
    })
  })

  test('after a reboot what was written is hashed before it is believed', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      const [whole, torn] = [randomBlock('whole', 1000), randomBlock('torn', 1000)]
      const interrupted = await open({ bootId: 'before' })
      const target = file(2000)
      await interrupted.openFile(target)
      await interrupted.write({ file: target, offset: 0 }, whole.bytes, whole.cid)
      await interrupted.write({ file: target, offset: 1000 }, torn.bytes, torn.cid)
      await interrupted.close()
      const [temporary] = (await readdir(folder)).filter((name) => name.endsWith('.p2p'))
      const bytes = await readFile(join(folder, temporary!))
      bytes.fill(0, 1500)
      await writeFile(join(folder, temporary!), bytes)

      const resumed = await open({ bootId: 'after' })
      assert.equal(await resumed.placedBytes(whole.cid, { file: target, offset: 0 }), 1000)
      assert.equal(await resumed.placedBytes(torn.cid, { file: target, offset: 1000 }), undefined)
      await resumed.close()
    })
  })

  test('small files are written whole, many side by side, and served from where they end up', async (t) => {
    await inRepo(t, async ({ folder, open, references }) => {
      const output = await open()
      await output.makeFolder([])
      await output.makeFolder(['sub'])
      const blocks = Array.from({ length: 300 }, (_, index) => randomBlock(`small ${index}`, index))
      const nameOf = (index: number) => (index % 2 === 0 ? [`f${index}`] : ['sub', `f${index}`])
      await Promise.all(
        blocks.map(({ bytes, cid }, id) => output.writeFile({ id, path: nameOf(id), bytes: undefined }, bytes, cid)),
      )
      await output.finish()
      await output.close()
      for (const [index, { bytes, cid }] of blocks.entries()) {
        assert.deepEqual(await readFile(join(folder, 'result', ...nameOf(index))), Buffer.from(bytes))
        assert.deepEqual(Buffer.from((await references.get(cid))!), Buffer.from(bytes))
      }
      await writeFile(join(folder, 'result', 'f200'), 'changed')
      assert.equal(await references.get(blocks[200]!.cid), undefined)
    })
  })

  test('a small file that cannot be written is named, and the others are written', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      const output = await open()
      await output.makeFolder([])
      await output.makeFolder(['taken'])
      const { bytes, cid } = randomBlock('small', 10)
      const other = output.writeFile(file(10, 'free'), bytes, cid)
      await assert.rejects(output.writeFile(file(10, 'taken'), bytes, cid), (error) => {
        return hasCode(error, 'io') && /result.*taken/.test(error.message)
      })
      await other
      await output.close()
      const [temporary] = (await readdir(folder)).filter((name) => name.endsWith('.p2p'))
      assert.deepEqual(await readFile(join(folder, temporary!, 'free')), Buffer.from(bytes))
    })
  })

  for (const { kind, size } of [
    { kind: 'small', size: 1000 },
    { kind: 'large', size: MiB },
  ]) {
    test(`a ${kind} file of one block that a run before the reboot wrote is served when this run has finished`, async (t) => {
      await inRepo(t, async ({ folder, open, references }) => {
        const { bytes, cid } = randomBlock(kind, size)
        const target = { id: 0, path: ['entry'], bytes: undefined }
        const interrupted = await open({ bootId: 'before' })
        await interrupted.makeFolder([])
        await interrupted.writeFile(target, bytes, cid)
        await interrupted.close()

        const resumed = await open({ bootId: 'after' })
        assert.equal(await resumed.placedBytes(cid, { file: target, offset: 0 }), size)
        await resumed.close()
        // Hashed once after the reboot: the next run of the same boot believes it.
        const last = await open({ bootId: 'after' })
        const [temporary] = (await readdir(folder)).filter((name) => name.endsWith('.p2p'))
        assert.equal(await last.placedBytes(cid, { file: target, offset: 0 }), size)
        assert.equal((await references.lookup(blockKey(cid)))[0]?.length, size)
        await last.finish()
        await last.close()
        assert.ok(!(await isThere(join(folder, temporary!))))
        assert.deepEqual(Buffer.from((await references.get(cid))!), Buffer.from(bytes))
      })
    })
  }

  test('what runs before and after a reboot have left is all taken up', async (t) => {
    await inRepo(t, async ({ open }) => {
      const leaves = Array.from({ length: 4 }, (_, index) => randomBlock(`leaf ${index}`, 1000))
      const target = file(4000)
      const before = await open({ bootId: 'before' })
      await before.openFile(target)
      for (const [index, { bytes, cid }] of leaves.entries()) {
        await before.write({ file: target, offset: index * 1000 }, bytes, cid)
      }
      await before.close()
      const interrupted = await open({ bootId: 'after' })
      await interrupted.openFile(target)
      assert.equal(await interrupted.placedBytes(leaves[0]!.cid, { file: target, offset: 0 }), 1000)
      await interrupted.close()
      const last = await open({ bootId: 'after' })
      for (const [index, { cid }] of leaves.entries()) {
        assert.equal(await last.placedBytes(cid, { file: target, offset: index * 1000 }), 1000)
      }
      await last.close()
    })
  })

  test('nothing of a longer leftover stays behind a file of one block', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      for (const size of [1000, MiB]) {
        const output = await open({ force: true })
        await output.makeFolder([])
        const [temporary] = (await readdir(folder)).filter((name) => name.endsWith('.p2p'))
        await writeFile(join(folder, temporary!, 'entry'), Buffer.alloc(2 * MiB, 'x'))
        const { bytes, cid } = randomBlock(`size ${size}`, size)
        await output.writeFile({ id: 0, path: ['entry'], bytes: undefined }, bytes, cid)
        await output.finish()
        await output.close()
        assert.deepEqual(await readFile(join(folder, 'result', 'entry')), Buffer.from(bytes))
      }
    })
  })

  test('links are made last, and only those that stay inside', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      const output = await open()
      await output.makeFolder([])
      await output.makeFolder(['sub'])
      const inside = { good: 'sub', 'sub/up': '../good' }
      const outside = { a: '/etc/passwd', b: '..', 'sub/c': '../../x', d: '', 'sub/e': 'x/../../../y', f: 'sub/up/..' }
      for (const [path, target] of Object.entries({ ...inside, ...outside })) {
        await output.makeLink(path.split('/'), target)
      }
      await output.finish()
      await output.close()
      assert.equal(await readlink(join(folder, 'result', 'good')), 'sub')
      assert.equal(await readlink(join(folder, 'result', 'sub', 'up')), '../good')
      assert.deepEqual(output.skipped.named.map(({ name }) => name).toSorted(), Object.keys(outside).toSorted())
      assert.deepEqual((await readdir(join(folder, 'result'))).toSorted(), ['good', 'sub'])
      assert.deepEqual(await readdir(join(folder, 'result', 'sub')), ['up'])
    })
  })

  test('links that would fill the memory are refused', async (t) => {
    await inRepo(t, async ({ open }) => {
      const output = await open()
      await output.makeFolder([])
      const target = 'x'.repeat(4095)
      await assert.rejects(
        async () => {
          for (let index = 0; index < 100_000; index++) await output.makeLink([`${index}`], target)
        },
        (error) => hasCode(error, 'limit'),
      )
      await output.close()
    })
  })

  test('files, folders and links get their mode and time, a folder after all that is in it, and nobody else a right', async (t) => {
    await inRepo(t, async ({ folder, open, references }) => {
      const [small, large] = [randomBlock('small', 1000), randomBlock('large', MiB)]
      const mtime = (seconds: number) => ({ seconds, nanoseconds: 54_321_000 })
      const output = await open()
      await output.makeFolder([], { mode: 0o750, mtime: mtime(1) })
      await output.makeFolder(['sub'], { mode: 0o7555, mtime: mtime(2) })
      const metadata = { mode: 0o4640, mtime: mtime(-3) }
      await output.writeFile({ id: 0, path: ['sub', 'small'], bytes: undefined, metadata }, small.bytes, small.cid)
      const target = { id: 1, path: ['sub', 'large'], bytes: MiB, metadata: { mode: 0o104, mtime: mtime(4e9) } }
      await output.openFile(target)
      await output.write({ file: target, offset: 0 }, large.bytes, large.cid)
      await output.closeFile(target)
      await output.makeLink(['sub', 'link'], 'small', { mode: 0o777, mtime: mtime(5) })
      await output.finish()
      await output.close()
      assert.deepEqual(await describeMetadata(join(folder, 'result')), [
        '. 750 1054321',
        'sub 555 2054321',
        'sub/large 504 4000000000054321',
        'sub/link  5054321',
        'sub/small 640 -2945679',
      ])
      for (const { cid, bytes } of [small, large]) {
        assert.deepEqual(Buffer.from((await references.get(cid))!), Buffer.from(bytes))
      }
    })
  })

  test('a time that no file system knows is passed over', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      const output = await open()
      const metadata = { mtime: { seconds: -Number.MAX_SAFE_INTEGER, nanoseconds: 0 } }
      await output.writeFile({ ...file(4), metadata }, Buffer.from('text'), undefined)
      await output.finish()
      await output.close()
      assert.equal(await readFile(join(folder, 'result'), 'utf8'), 'text')
    })
  })

  test('what a run has left that got its modes already is gone on from', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      const { bytes, cid } = randomBlock('read only', 1000)
      const target = { id: 0, path: ['sub', 'file'], bytes: 1000, metadata: { mode: 0o444 } }
      for (const ends of [false, true]) {
        const output = await open()
        await output.makeFolder([])
        await output.makeFolder(['sub'], { mode: 0o500 })
        await output.openFile(target)
        await output.write({ file: target, offset: 0 }, bytes, cid)
        await output.closeFile(target)
        if (ends) await output.finish()
        await output.close()
        const [temporary] = (await readdir(folder)).filter((name) => name.endsWith('.p2p'))
        if (temporary !== undefined) await chmod(join(folder, temporary, 'sub'), 0o500)
      }
      assert.deepEqual(
        (await describeMetadata(join(folder, 'result'))).map((line) => line.replace(/ \d+$/, '')),
        ['. 755', 'sub 500', 'sub/file 444'],
      )
    })
  })

  test('a folder in which nothing may be made is said to forbid it', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      await mkdir(join(folder, 'closed'))
      const output = await open({ target: join(folder, 'closed', 'result') })
      for (const [path, mode] of [
        [folder, 0o755],
        [join(folder, 'closed'), 0o555],
      ] as const) {
        await chmod(path, mode)
      }
      // Nothing is forbidden to root.
      const isRoot = process.geteuid?.() === 0
      if (isRoot) process.seteuid?.(NOBODY)
      try {
        await assert.rejects(
          output.openFile(file(1500)),
          (error) => hasCode(error, 'io') && /permission denied \(EACCES\)$/.test(error.message),
        )
      } finally {
        if (isRoot) process.seteuid?.(0)
        await output.close()
      }
    })
  })

  test('a link planted where the result is built is not followed', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      await writeFile(join(folder, 'victim'), 'safe')
      const output = await open()
      await output.makeFolder([])
      const [temporary] = (await readdir(folder)).filter((name) => name.endsWith('.p2p'))
      await symlink(join(folder, 'victim'), join(folder, temporary!, 'entry'))
      await assert.rejects(output.openFile(file(10, 'entry')), (error) => hasCode(error, 'io'))
      await output.close()
      assert.equal(await readFile(join(folder, 'victim'), 'utf8'), 'safe')
    })
  })

  test('more content than the disk has room for is refused before the first byte', async (t) => {
    await inRepo(t, async ({ open }) => {
      const output = await open()
      await output.expectBytes(MiB)
      await assert.rejects(output.expectBytes(2 ** 52), (error) => hasCode(error, 'disk-full'))
      await output.close()
    })
  })

  test('the name of what is built fits, however long the target is', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      const name = 'ü'.repeat(127)
      const output = await open({ target: join(folder, name) })
      await output.writeFile(file(0), new Uint8Array(), undefined)
      await output.finish()
      await output.close()
      assert.ok(await isThere(join(folder, name)))
    })
  })

  test('many files at once stay within the number of open files', async (t) => {
    await inRepo(t, async ({ folder, open }) => {
      const output = await open()
      await output.makeFolder([])
      const blocks = Array.from({ length: 400 }, (_, index) => randomBlock(`file ${index}`, 20))
      const files = blocks.map((_, index) => ({ id: index, path: [`f${index}`], bytes: 20 }))
      await Promise.all(files.map((target) => output.openFile(target)))
      const open0 = (await readdir('/proc/self/fd').catch(() => [])).length
      assert.ok(open0 < 250, `${open0}`)
      await Promise.all(
        files.map(async (target, index) => {
          const block = blocks[index]!
          await output.write({ file: target, offset: 0 }, block.bytes, block.cid as CID)
          await output.closeFile(target)
        }),
      )
      await output.finish()
      await output.close()
      assert.equal((await readdir(join(folder, 'result'))).length, 400)
    })
  })
})
