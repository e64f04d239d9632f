import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, open, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { base32upper } from 'multiformats/bases/base32'
import type { CID } from 'multiformats/cid'
import { FsBlockStore } from '../../src/blockstore/fs-blockstore.ts'
import { hasCode } from '../../src/common/errors.ts'
import { MiB } from '../../src/common/units.ts'
import { blockKey, multihashOfKey } from '../../src/dag/cid.ts'
import { damaged, randomBlock } from '../support/blocks.ts'
import { canRun, runChildModule, startChildModule } from '../support/child-module.ts'
import { makeTempDir } from '../support/temp.ts'

function pathOf(folder: string, cid: CID): string {
  const name = base32upper.encode(cid.multihash.bytes)
  return join(folder, name.slice(-3, -1), `${name}.data`)
}

/** A program that opens the store in `argument.folder` and can make the block of a seed. */
const STORE_PROGRAM = `
  import { createHash } from 'node:crypto'
  import * as Digest from 'multiformats/hashes/digest'
  const { FsBlockStore } = await load('blockstore/fs-blockstore')
  const { rawCid } = await load('dag/cid')
  const block = (index, byteCount) => {
    const bytes = Buffer.alloc(byteCount, 'block ' + index + ' ')
    return [rawCid(Digest.create(0x12, createHash('sha256').update(bytes).digest())), bytes]
  }
  const store = await FsBlockStore.open(argument.folder)
`

const noStrace = canRun('strace', '-f', '-e', 'trace=none', 'true') ? false : 'needs strace'
const noTmpfs = canRun('unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt')
  ? false
  : 'needs a mount namespace'

test('spreads blocks over 1,024 shards by the two characters before the last', async (t) => {
  const folder = await makeTempDir(t)
  const store = await FsBlockStore.open(folder)
  const { cid, bytes } = randomBlock('layout', 20)
  await store.put(cid, bytes)
  assert.deepEqual(await readFile(pathOf(folder, cid)), Buffer.from(bytes))
  const shards = (await readdir(folder)).filter((name) => name !== 'tmp')
  assert.equal(shards.length, 1)
  assert.match(shards[0]!, /^[A-Z2-7]{2}$/)
  assert.deepEqual(await readdir(join(folder, 'tmp')), [])
})

test('replaces a block file of the wrong length, as a power cut may leave', async (t) => {
  const folder = await makeTempDir(t)
  const { cid, bytes } = randomBlock('short', 4000)
  await (await FsBlockStore.open(folder)).put(cid, bytes)
  await truncate(pathOf(folder, cid), 0)
  const store = await FsBlockStore.open(folder)
  await store.put(cid, bytes)
  assert.deepEqual(await readFile(pathOf(folder, cid)), Buffer.from(bytes))
})

test('a block that is put and removed many times at once is counted as what it is', async (t) => {
  const counted = { blocks: 0, bytes: 0 }
  const onChange = ({ blocks, bytes }: { blocks: number; bytes: number }) => {
    counted.blocks += blocks
    counted.bytes += bytes
  }
  const store = await FsBlockStore.open(await makeTempDir(t), { onChange })
  const { cid, bytes } = randomBlock('counted', 3000)
  await Promise.all(Array.from({ length: 20 }, () => store.put(cid, bytes)))
  assert.deepEqual(counted, { blocks: 1, bytes: 3000 })
  await Promise.all(Array.from({ length: 20 }, () => store.delete(cid)))
  assert.deepEqual(counted, { blocks: 0, bytes: 0 })
})

test('moves a corrupt block aside, and tells once', async (t) => {
  const folder = await makeTempDir(t)
  const told: string[] = []
  const store = await FsBlockStore.open(folder, { onCorrupt: (cid) => told.push(cid.toString()) })
  const { cid, bytes } = randomBlock('corrupt', 4000)
  await store.put(cid, bytes)
  await writeFile(pathOf(folder, cid), damaged(bytes))
  assert.deepEqual(await Promise.all([store.get(cid), store.get(cid)]), [undefined, undefined])
  assert.equal(await store.get(cid), undefined)
  assert.deepEqual(told, [cid.toString()])
  const name = base32upper.encode(cid.multihash.bytes)
  assert.deepEqual(await readFile(join(folder, 'corrupt', name)), Buffer.from(damaged(bytes)))
  for await (const _ of store.keys()) assert.fail('a corrupt block is not here')
  await store.sync()
})

test('removes what interrupted writes left, and passes over files that are not blocks', async (t) => {
  const folder = await makeTempDir(t)
  await mkdir(join(folder, 'tmp'))
  await writeFile(join(folder, 'tmp', '17'), 'half a block')
  await mkdir(join(folder, 'AB'))
  await writeFile(join(folder, 'AB', 'note.data'), 'not a block')
  await writeFile(join(folder, 'AB', 'BCIQ.data'), 'cut name')
  const store = await FsBlockStore.open(folder)
  const { cid, bytes } = randomBlock('the only one', 30)
  await store.put(cid, bytes)
  assert.deepEqual(await readdir(join(folder, 'tmp')), [])
  const keys = []
  for await (const key of store.keys()) keys.push(Buffer.from(multihashOfKey(key)).toString('hex'))
  assert.deepEqual(keys, [Buffer.from(cid.multihash.bytes).toString('hex')])
})

test('an unreadable block is an error, not a missing block', async (t) => {
  const folder = await makeTempDir(t)
  const { cid, bytes } = randomBlock('unreadable', 30)
  const elsewhere = randomBlock('shard is a file', 30)
  await mkdir(pathOf(folder, cid), { recursive: true })
  await writeFile(join(pathOf(folder, elsewhere.cid), '..'), '')
  const store = await FsBlockStore.open(folder)
  await assert.rejects(store.get(cid), (error) => hasCode(error, 'io') && error.message.includes('EISDIR'))
  await assert.rejects(store.put(cid, bytes), (error) => hasCode(error, 'io'))
  await assert.rejects(store.delete(cid), (error) => hasCode(error, 'io'))
  await assert.rejects(store.has(elsewhere.cid), (error) => hasCode(error, 'io') && error.message.includes('ENOTDIR'))
})

test('the barrier syncs every file, then the shards and the folder that names them', { skip: noStrace }, async (t) => {
  const folder = await makeTempDir(t)
  const log = join(await makeTempDir(t), 'strace')
  const program = `${STORE_PROGRAM}
    const blocks = Array.from({ length: 40 }, (_, index) => block(index, 1000 + index))
    // One is here already, as an interrupted run leaves it.
    await (await FsBlockStore.open(argument.folder)).put(...blocks[0])
    for (const [cid, bytes] of blocks) await store.put(cid, bytes)
    process.stdout.write('before\\n')
    await store.sync()
    process.stdout.write('after\\n')
    await store.sync()`
  const prefix = ['strace', '-f', '-y', '-o', log, '-e', 'trace=fsync,fdatasync,write']
  const env = { UV_USE_IO_URING: '0', UV_THREADPOOL_SIZE: '1' }
  await runChildModule(t, program, { argument: { folder }, prefix, env })

  const lines = (await readFile(log, 'utf8')).split('\n')
  const barrier = lines.slice(
    lines.findIndex((line) => line.includes('before\\n')),
    lines.findIndex((line) => line.includes('after\\n')),
  )
  const synced = (call: string) =>
    barrier.flatMap((line) => (line.includes(` ${call}(`) && line.includes(folder) ? [line.match(/<(.*?)>/)![1]!] : []))
  const files: string[] = []
  const shards = (await readdir(folder)).filter((name) => name !== 'tmp').map((name) => join(folder, name))
  for (const shard of shards) for (const name of await readdir(shard)) files.push(join(shard, name))
  assert.equal(files.length, 40)
  assert.deepEqual(synced('fdatasync').sort(), files.sort())
  assert.deepEqual(synced('fsync').slice(0, -1).sort(), shards.sort())
  assert.equal(synced('fsync').at(-1), folder)
  assert.equal(lines.filter((line) => line.includes(' fdatasync(') && line.includes(folder)).length, 40)
})

test('a block that could not be synced fails the barrier until it is put again', { skip: noStrace }, async (t) => {
  const folder = await makeTempDir(t)
  const program = `${STORE_PROGRAM}
    const [cid, bytes] = block(1, 5000)
    await store.put(cid, bytes)
    const codes = []
    const sync = () => store.sync().then(() => 'ok', (error) => error.code + ' ' + error.cause?.code)
    codes.push(await sync(), await store.has(cid), await sync())
    await store.put(cid, bytes)
    codes.push(await sync(), await store.has(cid))
    process.stdout.write(JSON.stringify(codes))`
  const prefix = ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'inject=fdatasync:error=EIO:when=1']
  const env = { UV_USE_IO_URING: '0', UV_THREADPOOL_SIZE: '1' }
  const output = await runChildModule(t, program, { argument: { folder }, prefix, env })
  assert.deepEqual(JSON.parse(output), ['io EIO', false, 'io EIO', 'ok', true])
})

test('a block that could not be synced is forgotten once nobody waits for it, and somebody was told', async (t) => {
  const awaited = new Set<string>()
  const store = await FsBlockStore.open(await makeTempDir(t), { isAwaited: async (key) => awaited.has(key) })
  const { cid, bytes } = randomBlock('lost', 5000)
  const failsToSync = async () => await assert.rejects(store.sync(), (error) => hasCode(error, 'io'))
  const loseNow = async () => {
    await store.put(cid, bytes)
    const handle = await open(import.meta.filename)
    const { mock } = t.mock.method(Object.getPrototypeOf(handle), 'datasync', async () => {
      throw Object.assign(new Error('broken'), { code: 'EIO' })
    })
    await handle.close()
    await failsToSync()
    mock.restore()
  }
  await loseNow()
  await store.sync()
  awaited.add(blockKey(cid))
  await loseNow()
  await failsToSync()
  awaited.clear()
  await store.sync()
})

test('writes out in the background what has gathered', { skip: noStrace }, async (t) => {
  const folder = await makeTempDir(t)
  const log = join(await makeTempDir(t), 'strace')
  const program = `${STORE_PROGRAM}
    for (let index = 0; index < 80; index++) await store.put(...block(index, ${MiB}))
    await store.put(...block(80, 1))
    process.stdout.write('before\\n')
    await store.sync()`
  const prefix = ['strace', '-f', '-o', log, '-e', 'trace=fdatasync,write']
  const env = { UV_USE_IO_URING: '0', UV_THREADPOOL_SIZE: '1' }
  await runChildModule(t, program, { argument: { folder }, prefix, env })
  const calls = (await readFile(log, 'utf8')).split('\n').filter((line) => / fdatasync\(|before\\n/.test(line))
  assert.equal(calls.length, 82)
  assert.notEqual(
    calls.findIndex((line) => line.includes('before')),
    0,
  )
})

test('waits for descriptors when there are none, and fails when none comes free', async (t) => {
  const folder = await makeTempDir(t)
  const program = `${STORE_PROGRAM}
    import { openSync, closeSync } from 'node:fs'
    const [cid, bytes] = block(1, 5000)
    await store.put(cid, bytes)
    const taken = []
    try { for (;;) taken.push(openSync('/dev/null', 'r')) } catch {}
    const outcome = () => store.get(cid).then((bytes) => bytes.length, (error) => error.code + ' ' + error.cause.code)
    const waiting = outcome()
    setTimeout(() => closeSync(taken.pop()), 50)
    const first = await waiting
    taken.push(openSync('/dev/null', 'r'))
    const second = await outcome()
    for (const descriptor of taken) closeSync(descriptor)
    process.stdout.write(JSON.stringify([first, second, await outcome()]))`
  const prefix = ['sh', '-c', 'ulimit -n 64 && exec "$@"', 'sh']
  const output = await runChildModule(t, program, { argument: { folder }, prefix })
  assert.deepEqual(JSON.parse(output), [5000, 'io EMFILE', 5000])
})

test('a full disk is told as such, and works again once there is room', { skip: noTmpfs }, async (t) => {
  const folder = await makeTempDir(t)
  const program = `${STORE_PROGRAM}
    let stored = 0
    let failure
    try { for (;;) { await store.put(...block(stored, 100_000)); stored++ } } catch (error) { failure = error.code }
    let verified = 0
    for (let index = 0; index < stored; index++) if (await store.get(block(index, 100_000)[0])) verified++
    const present = await store.has(block(stored, 100_000)[0])
    await store.delete(block(0, 100_000)[0])
    await store.put(...block(stored, 100_000))
    await store.sync()
    process.stdout.write(JSON.stringify([failure, stored === verified && stored > 3, present]))`
  const mounting = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
  const prefix = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', mounting, folder]
  const output = await runChildModule(t, program, { argument: { folder }, prefix })
  assert.deepEqual(JSON.parse(output), ['disk-full', true, false])
})

test('a process killed while it puts leaves whole blocks only', async (t) => {
  const folder = await makeTempDir(t)
  const program = `${STORE_PROGRAM}
    let index = 0
    const put = async () => { for (;;) { await store.put(...block(index++, 300_000)); process.stdout.write('put\\n') } }
    await Promise.all([put(), put(), put(), put()])`
  const child = startChildModule(t, program, { argument: { folder } })
  const lines = createInterface({ input: child.stdout! })
  let count = 0
  for await (const _ of lines) if (++count === 25) child.kill('SIGKILL')
  if (child.signalCode === null) await once(child, 'exit')
  const verify = `${STORE_PROGRAM}
    let good = 0
    for (let index = 0; index < ${count} + 10; index++) {
      const [cid, bytes] = block(index, 300_000)
      const size = await store.size(cid)
      if (size !== undefined && size !== bytes.length) throw new Error('a torn block')
      if (await store.get(cid)) good++
    }
    process.stdout.write(String(good))`
  const good = Number(await runChildModule(t, verify, { argument: { folder } }))
  assert.ok(good >= count, `${good} of at least ${count}`)
  assert.deepEqual(await readdir(join(folder, 'tmp')), [])
})
