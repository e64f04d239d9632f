/**
 * In which order an add that a server does reaches the disk, its caller and the network: blocks with children first, their
 * files and folders synced, the pin synced, the CID told, and only then announced.
 */

import '../../src/common/node20.ts'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { CID } from 'multiformats/cid'
import { DiskBlockStore } from '../../src/blockstore/disk-blockstore.ts'
import { MiB } from '../../src/common/units.ts'
import { blockKey, parseCid } from '../../src/dag/cid.ts'
import { linksOf } from '../../src/dag/links.ts'
import { openDatabase } from '../../src/database/database.ts'
import { interceptEnv, readCalls, type SystemCall } from '../faults/calls/intercept.ts'
import { randomBytes } from '../support/bytes.ts'
import { runChildModule } from '../support/child-module.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { startDhtNode } from '../support/dht-node.ts'
import { intercept } from '../support/intercept.ts'
import { makeTempDir } from '../support/temp.ts'

/** Serves, adds a path, tells its CID, and ends when somebody was told of it. */
const PROGRAM = `
  await load('common/node20')
  const { openNode } = await load('node/open')
  const { resolveLocation } = await load('repo/location')
  const { repo, path, bootstrap } = argument
  const node = await openNode({
    location: resolveLocation({ repo, env: {}, home: repo, cwd: repo }),
    command: 'p2p test',
    holdTimeoutMs: 0,
    role: 'server',
    listen: ['/ip4/127.0.0.1/tcp/0'],
    bootstrap,
  })
  await node.startNetwork()
  const announced = new Promise((resolve) => {
    node.startAnnouncing({ onAnnounced: ({ peers }) => peers > 0 && resolve() })
  })
  await node.add([{ path }], { onRoot: ({ cid }) => process.stdout.write(cid + '\\n') })
  await announced
  await node.close()`

/** Where in the record of calls something is: the call, and how far in its data. */
type Position = [call: number, offset: number]

test('blocks, children first, then their files and folders, the pin, the CID, and the announcement', {
  skip: intercept.why,
}, async (t) => {
  const folder = await makeTempDir(t)
  const [repo, tree, log] = [join(folder, 'repo'), join(folder, 'tree'), join(folder, 'calls')]
  await mkdir(join(tree, 'inner'), { recursive: true })
  await writeFile(join(tree, 'large'), randomBytes('large', 2 * MiB + 70_000))
  await writeFile(join(tree, 'inner', 'small'), randomBytes('small', 3000))
  const dht = await startDhtNode(t, { role: 'server' })
  /** What had been recorded when the provider record of a root came in. */
  const recorded = new Map<string, Buffer>()
  const { providers } = dht.host.libp2p.services.lanDht as unknown as {
    providers: { addProvider(cid: CID, ...rest: unknown[]): Promise<void> }
  }
  const addProvider = providers.addProvider.bind(providers)
  providers.addProvider = async (cid, ...rest) => {
    const key = blockKey(cid)
    if (!recorded.has(key)) recorded.set(key, readFileSync(log))
    await addProvider(cid, ...rest)
  }

  const argument = { repo, path: tree, bootstrap: dht.host.multiaddrs() }
  const env = interceptEnv(await intercept.library(t), { watched: [repo], log, withData: true })
  const told = (await runChildModule(t, PROGRAM, { argument, env })).trim()
  const root = parseCid(told)
  const atAnnouncement = recorded.get(blockKey(root))
  assert.ok(atAnnouncement?.includes(`${told}\n`), 'it was announced before its CID was told')

  const calls = await readCalls(log)
  const after = (start: number, fits: (call: SystemCall) => boolean): number => {
    const found = calls.findIndex((call, index) => index > start && fits(call))
    return found === -1 ? Number.POSITIVE_INFINITY : found
  }
  const isSync = ({ name }: SystemCall) => name === 'fsync' || name === 'fdatasync'
  const pinned = after(-1, ({ name, data }) => name === 'write' && data.includes('"kind":"recursive"'))
  const tells = after(pinned, ({ name, data }) => name === 'stdout' && data.includes(told))
  const pinSynced = after(pinned, (call) => isSync(call) && call.inode === calls[pinned]!.inode)
  assert.ok(pinSynced < tells && tells < Number.POSITIVE_INFINITY, 'the CID was told before its pin was synced')

  const database = await openDatabase(join(repo, 'database'))
  cleanUpAfter(t, () => database.close())
  const blocks = await DiskBlockStore.open(join(repo, 'blocks'), database)
  cleanUpAfter(t, () => blocks.close())
  const isBefore = (one: Position, other: Position) => one[0] < other[0] || (one[0] === other[0] && one[1] < other[1])
  const check = async (cid: CID): Promise<Position> => {
    const bytes = Buffer.from((await blocks.get(cid))!)
    const call = after(
      -1,
      ({ name, path, data }) => name === 'write' && !path.includes('/database/') && data.includes(bytes),
    )
    const { data, inode, path } = calls[call]!
    const position: Position = [call, data.indexOf(bytes)]
    assert.ok(after(call, (each) => isSync(each) && each.inode === inode) < pinned, `${path} was not synced`)
    const named = after(call, (each) => each.name === 'rename' && each.path === path)
    const place = calls[named]?.second ?? path
    const from = calls[named] === undefined ? -1 : named
    const parent = dirname(place)
    for (const each of [parent, dirname(parent)]) {
      assert.ok(after(from, (call) => isSync(call) && call.path === each) < pinned, `${each} was not synced`)
    }
    for (const link of linksOf(cid, bytes)) {
      assert.ok(isBefore(await check(link), position), `${link} was written after ${cid}, which links to it`)
    }
    return position
  }
  await check(root)
})
