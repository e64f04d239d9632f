/** Small blocks in packs: what crashes, damage, deletion and others at the same time leave of them. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { appendFile, copyFile, mkdir, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { DiskBlockStore, type DiskBlockStoreOptions } from '../../src/blockstore/disk-blockstore.ts'
import { FsBlockStore } from '../../src/blockstore/fs-blockstore.ts'
import { MAX_PACKED_BYTES, PACK_HEADER } from '../../src/blockstore/pack-format.ts'
import { readCar } from '../../src/car/read.ts'
import { carHeader } from '../../src/car/write.ts'
import { hasCode } from '../../src/common/errors.ts'
import { KiB } from '../../src/common/units.ts'
import type { Block } from '../../src/dag/block.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { openDatabase } from '../../src/database/database.ts'
import { interceptEnv } from '../faults/calls/intercept.ts'
import { randomBlock } from '../support/blocks.ts'
import { canRun, runChildModule, startChildModule } from '../support/child-module.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { intercept } from '../support/intercept.ts'
import { damageStored } from '../support/stored-blocks.ts'
import { makeTempDir } from '../support/temp.ts'

const noStrace = canRun('strace', '-f', '-e', 'trace=none', 'true') ? false : 'needs strace'
const noTmpfs = canRun('unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', 'mount -t tmpfs tmpfs /mnt')
  ? false
  : 'needs a mount namespace'

/** A program that opens the store in `argument.folder` and can make the block of a number. */
const STORE_PROGRAM = `
  import { createHash } from 'node:crypto'
  import * as Digest from 'multiformats/hashes/digest'
  const { DiskBlockStore } = await load('blockstore/disk-blockstore')
  const { openDatabase } = await load('database/database')
  const { rawCid } = await load('dag/cid')
  const block = (index, byteCount = 3000) => {
    const bytes = Buffer.alloc(byteCount, 'block ' + index + ' ')
    return [rawCid(Digest.create(0x12, createHash('sha256').update(bytes).digest())), bytes]
  }
  const database = await openDatabase(argument.folder + '/database')
  const unreadable = []
  const onUnreadable = (error) => unreadable.push(error.cause.code)
  const store = await DiskBlockStore.open(argument.folder + '/blocks', database, { onUnreadable })
`

interface OpenStore {
  store: DiskBlockStore
  close: () => Promise<void>
}

/** Opens the store of a folder, as each process does. */
async function open(folder: string, options?: DiskBlockStoreOptions): Promise<OpenStore> {
  const database = await openDatabase(join(folder, 'database'))
  const store = await DiskBlockStore.open(join(folder, 'blocks'), database, options)
  const close = async () => {
    await store.close()
    await database.close()
  }
  return { store, close }
}

/** What `use` gives, with the store of a folder open meanwhile. */
async function withStore<T>(folder: string, use: (store: DiskBlockStore) => Promise<T>, options = {}): Promise<T> {
  const { store, close } = await open(folder, options)
  try {
    return await use(store)
  } finally {
    await close()
  }
}

async function openFor(t: TestContext, folder: string, options?: DiskBlockStoreOptions): Promise<DiskBlockStore> {
  const { store, close } = await open(folder, options)
  cleanUpAfter(t, close)
  return store
}

async function packsIn(folder: string): Promise<string[]> {
  const packs = join(folder, 'blocks', 'packs')
  return (await readdir(packs).catch(() => [])).map((name) => join(packs, name)).sort()
}

function blocksOf(seed: string, count: number, byteCount = 1000): Block[] {
  return Array.from({ length: count }, (_, index) => randomBlock(`${seed} ${index}`, byteCount))
}

async function putAll(store: DiskBlockStore, blocks: readonly Block[]): Promise<void> {
  await Promise.all(blocks.map(({ cid, bytes }) => store.put(cid, bytes)))
}

async function assertHas(store: DiskBlockStore, blocks: readonly Block[]): Promise<void> {
  for (const { cid, bytes } of blocks) assert.deepEqual(Buffer.from((await store.get(cid))!), Buffer.from(bytes))
}

async function assertLacks(store: DiskBlockStore, cids: readonly CID[]): Promise<void> {
  for (const cid of cids) assert.deepEqual([await store.has(cid), await store.get(cid)], [false, undefined])
}

async function keysOf(store: DiskBlockStore): Promise<string[]> {
  const keys: string[] = []
  for await (const key of store.keys()) keys.push(key)
  return keys.sort()
}

test('a pack is a CAR file of what is in it, and larger blocks are files of their own', async (t) => {
  const folder = await makeTempDir(t)
  const blocks = [...blocksOf('packed', 30), randomBlock('the largest', MAX_PACKED_BYTES), randomBlock('empty', 0)]
  const large = randomBlock('large', MAX_PACKED_BYTES + 1)
  await withStore(folder, async (store) => {
    await putAll(store, [...blocks, large])
    await store.sync()
  })
  const [pack, ...others] = await packsIn(folder)
  assert.deepEqual(others, [])
  assert.deepEqual(PACK_HEADER, Buffer.from(carHeader([])))
  const content = await readFile(pack!)
  const car = await readCar(
    (async function* () {
      yield content
    })(),
  )
  assert.deepEqual(car.roots, [])
  const found: string[] = []
  for await (const { cid } of car.blocks) found.push(cid.toString())
  assert.deepEqual(found.sort(), blocks.map(({ cid }) => cid.toString()).sort())
})

test('one process after the other adds to the newest pack, until it has its size', async (t) => {
  const folder = await makeTempDir(t)
  const blocks = blocksOf('one by one', 20, 10 * KiB)
  for (const { cid, bytes } of blocks.slice(0, 10)) {
    await withStore(folder, async (store) => {
      await store.put(cid, bytes)
      await store.sync()
    })
  }
  assert.equal((await packsIn(folder)).length, 1)
  const store = await openFor(t, folder, { packBytes: 120 * KiB })
  for (const { cid, bytes } of blocks.slice(10)) await store.put(cid, bytes)
  assert.equal((await packsIn(folder)).length, 2)
  await assertHas(store, blocks)
})

test('the barrier syncs the pack once, and the folders only when it is new', { skip: noStrace }, async (t) => {
  const folder = await makeTempDir(t)
  const log = join(await makeTempDir(t), 'strace')
  const program = `${STORE_PROGRAM}
    const put = (from) => Promise.all(Array.from({ length: 500 }, (_, index) => store.put(...block(from + index))))
    for (const from of [0, 500, 500]) {
      await put(from)
      process.stdout.write('barrier\\n')
      await store.sync()
      process.stdout.write('end\\n')
    }`
  const prefix = ['strace', '-f', '-y', '-o', log, '-e', 'trace=fsync,fdatasync,write,pwrite64']
  await runChildModule(t, program, { argument: { folder }, prefix, env: { UV_USE_IO_URING: '0' } })
  const [first, second, third] = (await readFile(log, 'utf8')).split('barrier\\n').slice(1)
  const synced = (lines: string | undefined) =>
    lines!
      .split('end\\n')[0]!
      .split('\n')
      .filter((line) => /\bf(data)?sync\(/.test(line) && line.includes(`${folder}/blocks`))
      .map((line) => line.match(/<(.*?)>/)![1]!.slice(folder.length))
  assert.deepEqual(synced(first), ['/blocks/packs/1.car', '/blocks/packs', '/blocks'])
  assert.deepEqual(synced(second), ['/blocks/packs/1.car'])
  assert.deepEqual(synced(third), [], 'what is here survives already')
})

test('nothing is lost that was put when the process is killed, and the next one goes on in its pack', async (t) => {
  const folder = await makeTempDir(t)
  const program = `${STORE_PROGRAM}
    let next = 0
    const put = async () => {
      for (;;) {
        const index = next++
        await store.put(...block(index))
        process.stdout.write(index + '\\n')
      }
    }
    await Promise.all([put(), put(), put(), put()])`
  const child = startChildModule(t, program, { argument: { folder } })
  const put: number[] = []
  for await (const line of createInterface({ input: child.stdout! })) {
    put.push(Number(line))
    if (put.length === 1000) child.kill('SIGKILL')
  }
  if (child.signalCode === null) await once(child, 'exit')
  const [pack] = await packsIn(folder)
  const verify = `${STORE_PROGRAM}
    const missing = []
    for (const index of argument.put) if (!(await store.get(block(index)[0]))) missing.push(index)
    const listed = []
    for await (const key of store.keys()) listed.push(key)
    await store.put(...block('another'))
    await store.sync()
    process.stdout.write(JSON.stringify({ missing, enough: listed.length >= argument.put.length }))`
  // The second run finds what the first one has made durable.
  for (const _ of ['taken up', 'in the index']) {
    const output = await runChildModule(t, verify, { argument: { folder, put } })
    assert.deepEqual(JSON.parse(output), { missing: [], enough: true })
  }
  assert.deepEqual(await packsIn(folder), [pack])
})

test('a pack whose end is not whole keeps what is before, and is not written to any more', async (t) => {
  const folder = await makeTempDir(t)
  const [synced, unsynced, later] = [blocksOf('synced', 10), blocksOf('unsynced', 10), blocksOf('later', 10)]
  const interrupted = await makeTempDir(t)
  await withStore(folder, async (store) => {
    await putAll(store, synced)
    await store.sync()
    await putAll(store, unsynced)
    // As a process leaves it that is killed now, but for what it holds in memory.
    await mkdir(join(interrupted, 'blocks', 'packs'), { recursive: true })
    await copyFile((await packsIn(folder))[0]!, join(interrupted, 'blocks', 'packs', '1.car'))
  })
  const [pack] = await packsIn(interrupted)
  const whole = (await stat(pack!)).size
  await truncate(pack!, whole - 100)
  await appendFile(pack!, Buffer.alloc(5000))
  await withStore(interrupted, async (store) => {
    await assertHas(store, [...synced, ...unsynced.slice(0, 9)])
    await assertLacks(store, [unsynced[9]!.cid])
    await putAll(store, later)
    await store.sync()
  })
  const store = await openFor(t, interrupted)
  await assertHas(store, [...synced, ...unsynced.slice(0, 9), ...later])
  assert.equal((await packsIn(interrupted)).length, 2)
})

test('a pack of which only the name is left is not written to', async (t) => {
  const folder = await makeTempDir(t)
  const packs = join(folder, 'blocks', 'packs')
  await mkdir(packs, { recursive: true })
  await writeFile(join(packs, '1.car'), '')
  const { cid, bytes } = randomBlock('first', 1000)
  await withStore(folder, async (store) => {
    await store.put(cid, bytes)
    await store.sync()
  })
  assert.equal((await stat(join(packs, '1.car'))).size, 0)
  assert.deepEqual((await readFile(join(packs, '2.car'))).subarray(0, PACK_HEADER.byteLength), Buffer.from(PACK_HEADER))
})

test('blocks that a pack has lost are not here, told once, and can be put again', async (t) => {
  for (const lose of [
    (path: string) => rm(path),
    (path: string) => truncate(path, 500),
    async (path: string) => {
      const { size } = await stat(path)
      await truncate(path, 500)
      await truncate(path, size)
    },
  ]) {
    const folder = await makeTempDir(t)
    const blocks = blocksOf('lost', 3)
    await withStore(folder, async (store) => {
      await putAll(store, blocks)
      await store.sync()
    })
    await lose((await packsIn(folder))[0]!)
    const told: string[] = []
    const store = await openFor(t, folder, { onCorrupt: (cid) => told.push(cid.toString()) })
    const cids = blocks.map(({ cid }) => cid)
    assert.equal(await store.has(cids[0]!), true, 'it is not looked at')
    for (const cid of cids) await store.get(cid)
    await assertLacks(store, cids)
    assert.deepEqual(told.sort(), cids.map(String).sort())
    await putAll(store, blocks)
    await store.sync()
    await assertHas(store, blocks)
  }
})

test('a block that does not match is set aside, or replaced by who puts it', async (t) => {
  const folder = await makeTempDir(t)
  const store = await openFor(t, folder)
  const [aside, replaced, sound] = blocksOf('damaged', 3)
  await putAll(store, [aside!, replaced!, sound!])
  await damageStored(join(folder, 'blocks'), [aside!.cid, replaced!.cid])
  await assertHas(store, [sound!])
  assert.deepEqual(await Promise.all([store.get(aside!.cid), store.get(aside!.cid)]), [undefined, undefined])
  assert.equal(await store.has(aside!.cid), false)
  assert.equal(await store.corruptBytes(), aside!.bytes.byteLength)
  await store.put(replaced!.cid, replaced!.bytes)
  await assertHas(store, [replaced!])
})

test('small blocks of repos without packs stay files, are not put twice, and can be deleted', async (t) => {
  const folder = await makeTempDir(t)
  const [one, other] = blocksOf('file', 2)
  const files = await FsBlockStore.open(join(folder, 'blocks'))
  for (const { cid, bytes } of [one!, other!]) await files.put(cid, bytes)
  const store = await openFor(t, folder)
  await assertHas(store, [one!, other!])
  await putAll(store, [one!, other!])
  assert.deepEqual(await packsIn(folder), [])
  assert.deepEqual(await keysOf(store), [one!, other!].map(({ cid }) => blockKey(cid)).sort())
  await store.delete(one!.cid)
  await assertLacks(store, [one!.cid])
  await store.put(one!.cid, one!.bytes)
  assert.equal((await packsIn(folder)).length, 1)
  await assertHas(store, [one!, other!])
  // Both in a pack and in a file of its own, it counts once.
  await files.put(one!.cid, one!.bytes)
  let [blocks, bytes] = [0, 0]
  for (const shard of await store.shardNames()) {
    const usage = await store.usageOf(shard)
    blocks += usage.blocks
    bytes += usage.bytes
  }
  assert.deepEqual({ blocks, bytes }, { blocks: 2, bytes: one!.bytes.byteLength + other!.bytes.byteLength })
})

test('packs that are mostly dead give their space back, and what lives in them stays', async (t) => {
  const folder = await makeTempDir(t)
  const options = { packBytes: 103_000 }
  const kept: Block[] = []
  await withStore(
    folder,
    async (store) => {
      // One of which nothing stays, one with a good part, one with most of it, and the one that grows.
      for (const [pack, stays] of [0, 70, 90, 1].entries()) {
        const blocks = blocksOf(`pack ${pack}`, 100)
        for (const { cid, bytes } of blocks) await store.put(cid, bytes)
        for (const { cid } of blocks.slice(stays)) await store.delete(cid)
        kept.push(...blocks.slice(0, stays))
      }
      const before = await packsIn(folder)
      assert.equal(before.length, 4)
      await store.reclaim()
      const after = await packsIn(folder)
      assert.deepEqual([after.length, after[0]], [2, before[2]])
      await assertHas(store, kept)
      await store.reclaim()
      assert.deepEqual(await packsIn(folder), after)
    },
    options,
  )
  // As one that a crash has left.
  const [pack] = await packsIn(folder)
  await copyFile(pack!, join(folder, 'blocks', 'packs', '0.car'))
  const store = await openFor(t, folder, options)
  await assertHas(store, kept)
  assert.deepEqual(await keysOf(store), kept.map(({ cid }) => blockKey(cid)).sort())
  await store.reclaim()
  assert.equal((await packsIn(folder)).length, 2)
  for (const { cid } of kept) await store.delete(cid)
  await store.reclaim()
  assert.deepEqual(await packsIn(folder), [])
  await putAll(store, kept)
  await assertHas(store, kept)
})

test('reclaiming needs little room besides what is there', async (t) => {
  const folder = await makeTempDir(t)
  const packs = join(folder, 'blocks', 'packs')
  const packBytes = 256 * KiB
  const store = await openFor(t, folder, { packBytes })
  const blocks = Array.from({ length: 400 }, (_, index) => randomBlock(`block ${index}`, 8 * KiB))
  for (const { cid, bytes } of blocks) await store.put(cid, bytes)
  await store.sync()
  const usedBytes = async () => {
    const sizes = (await readdir(packs)).map((name) => stat(join(packs, name)).catch(() => ({ size: 0 })))
    return (await Promise.all(sizes)).reduce((sum, { size }) => sum + size, 0)
  }
  const before = await usedBytes()
  const [kept, dropped] = [blocks.filter((_, index) => index % 5 < 2), blocks.filter((_, index) => index % 5 >= 2)]
  for (const { cid } of dropped) await store.delete(cid)
  let isDone = false
  const reclaimed = store.reclaim().then(() => {
    isDone = true
  })
  let most = 0
  while (!isDone) most = Math.max(most, await usedBytes())
  await reclaimed
  assert.ok(most <= before + 3 * packBytes, `${most} bytes were there, of ${before}`)
  assert.ok((await usedBytes()) < before / 2)
  for (const { cid, bytes } of kept) assert.deepEqual(await store.get(cid), bytes)
})

test('space is reclaimed while others put, get and delete', async (t) => {
  const folder = await makeTempDir(t)
  const options = { packBytes: 50_000 }
  const there = new Map<string, Block>()
  await withStore(
    folder,
    async (store) => {
      let isEnding = false
      const work = async (worker: number) => {
        for (let round = 0; round < 10; round++) {
          const blocks = blocksOf(`worker ${worker} round ${round}`, 30)
          await putAll(store, blocks)
          const stay = blocks[0]!
          there.set(blockKey(stay.cid), stay)
          await Promise.all(blocks.slice(1).map(({ cid }) => store.delete(cid)))
          for (const block of there.values()) await assertHas(store, [block])
        }
      }
      const reclaiming = (async () => {
        while (!isEnding) await store.reclaim()
      })()
      await Promise.all([0, 1, 2, 3].map(work))
      isEnding = true
      await reclaiming
      await store.reclaim()
      assert.deepEqual(await keysOf(store), [...there.keys()].sort())
    },
    options,
  )
  const store = await openFor(t, folder, options)
  await assertHas(store, [...there.values()])
  const sizes = await Promise.all((await packsIn(folder)).map(async (path) => (await stat(path)).size))
  assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= 2 * 1100 * there.size, `${sizes} bytes are left`)
})

test('a pack that could not be synced fails the barrier until its blocks are put again', {
  skip: noStrace,
}, async (t) => {
  const folder = await makeTempDir(t)
  const program = `${STORE_PROGRAM}
    const [[safe, ...safeRest], [cid, bytes]] = [block(0), block(1)]
    await store.put(safe, ...safeRest)
    await store.sync()
    await store.put(cid, bytes)
    const codes = []
    const sync = () => store.sync().then(() => 'ok', (error) => error.code + ' ' + error.cause?.code)
    codes.push(await sync(), await store.has(cid), await store.has(safe), await sync())
    if (argument.putsAgain) {
      await store.put(cid, bytes)
      codes.push(await sync(), await store.has(cid))
    }
    process.stdout.write(JSON.stringify(codes))`
  const failing = 'inject=fdatasync:error=EIO:when=2'
  const prefix = [
    'strace',
    '-f',
    '-qq',
    '-o',
    '/dev/null',
    '-P',
    join(folder, 'blocks', 'packs', '1.car'),
    '-e',
    failing,
  ]
  const env = { UV_USE_IO_URING: '0', UV_THREADPOOL_SIZE: '1' }
  const output = await runChildModule(t, program, { argument: { folder, putsAgain: false }, prefix, env })
  assert.deepEqual(JSON.parse(output), ['io EIO', false, true, 'io EIO'])
  // Nor does the next process take it for whole.
  const verify = `${STORE_PROGRAM}
    process.stdout.write(JSON.stringify([await store.has(block(0)[0]), await store.has(block(1)[0])]))`
  assert.deepEqual(JSON.parse(await runChildModule(t, verify, { argument: { folder } })), [true, false])

  const again = await makeTempDir(t)
  const path = join(again, 'blocks', 'packs', '1.car')
  const outputAgain = await runChildModule(t, program, {
    argument: { folder: again, putsAgain: true },
    prefix: prefix.map((part) => (part.endsWith('1.car') ? path : part)),
    env,
  })
  assert.deepEqual(JSON.parse(outputAgain), ['io EIO', false, true, 'io EIO', 'ok', true])
})

test('a full disk is told as such, and packs work again once there is room', { skip: noTmpfs }, async (t) => {
  const folder = await makeTempDir(t)
  const program = `
    import { rmSync, writeFileSync } from 'node:fs'
    import { mkdirSync } from 'node:fs'
    mkdirSync(argument.folder + '/blocks/room', { recursive: true })
    writeFileSync(argument.folder + '/blocks/room/file', Buffer.alloc(200_000))
    ${STORE_PROGRAM}
    let stored = 0
    let failure
    try { for (;;) { await store.put(...block(stored, 30_000)); stored++ } } catch (error) { failure = error.code }
    let verified = 0
    for (let index = 0; index < stored; index++) if (await store.get(block(index, 30_000)[0])) verified++
    const present = await store.has(block(stored, 30_000)[0])
    rmSync(argument.folder + '/blocks/room/file')
    await store.put(...block(stored, 30_000))
    await store.sync()
    process.stdout.write(JSON.stringify([failure, stored === verified && stored > 3, present]))`
  const mounting = 'mkdir "$0/blocks" && mount -t tmpfs -o size=1m tmpfs "$0/blocks" && exec "$@"'
  const prefix = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', mounting, folder]
  const output = await runChildModule(t, program, { argument: { folder }, prefix })
  assert.deepEqual(JSON.parse(output), ['disk-full', true, false])
})

test('a pack whose end cannot be read is told, and costs no block but those that were stored there last', {
  skip: intercept.why,
}, async (t) => {
  const folder = await makeTempDir(t)
  const program = `${STORE_PROGRAM}
    await store.put(...block(0))
    await store.sync()
    await database.settle()
    await store.put(...block(1))
    process.kill(process.pid, 'SIGKILL')`
  await assert.rejects(runChildModule(t, program, { argument: { folder } }))
  // The end is the first that is read of a pack.
  const watched = [join(folder, 'blocks', 'packs')]
  const next = `${STORE_PROGRAM}
    const here = () => Promise.all([0, 1, 2].map((index) => store.get(block(index)[0]).then((bytes) => bytes !== undefined)))
    const before = await here()
    await store.put(...block(2))
    await store.sync()
    process.stdout.write(JSON.stringify({ unreadable, packs: store.unreadablePacks().length, before, after: await here() }))
    await store.close()
    await database.close()`
  const env = interceptEnv(await intercept.library(t), {
    watched,
    log: join(await makeTempDir(t), 'calls'),
    counted: ['read'],
    fault: { at: 1, errno: 'EIO' },
  })
  const output = JSON.parse(await runChildModule(t, next, { argument: { folder }, env }))
  assert.deepEqual(output, {
    unreadable: ['EIO'],
    packs: 1,
    before: [true, false, false],
    after: [true, false, true],
  })
})

test('a pack that cannot be read is an error, not a missing block', async (t) => {
  const folder = await makeTempDir(t)
  const blocks = blocksOf('unreadable', 2)
  await withStore(
    folder,
    async (store) => {
      for (const { cid, bytes } of blocks) await store.put(cid, bytes)
    },
    { packBytes: 1000 },
  )
  const [pack] = await packsIn(folder)
  await rm(pack!)
  await mkdir(pack!)
  const store = await openFor(t, folder)
  await assert.rejects(store.get(blocks[0]!.cid), (error) => hasCode(error, 'io') && error.message.includes('EISDIR'))
  assert.equal(await store.has(blocks[0]!.cid), true)
  await assertHas(store, blocks.slice(1))
})
