/** What every implementation of `Api` does alike where it looks at content, exports and imports it. Run by `api-suite.ts`. */

import assert from 'node:assert/strict'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../../src/common/errors.ts'
import { KiB, MiB } from '../../src/common/units.ts'
import type { LsEntry } from '../../src/node/api/look.ts'
import type { Api } from '../../src/node/api.ts'
import { randomBytes } from '../support/bytes.ts'
import type { MadeApi } from './api-suite.ts'

const offline = { offline: true }

/** A folder with a file of several blocks, a folder, a symlink, and a name that a terminal must not see. */
async function addTree({ api, folder }: MadeApi) {
  const tree = join(folder, 'tree')
  const content = randomBytes('look', 3 * MiB + 5)
  await mkdir(join(tree, 'sub'), { recursive: true })
  await writeFile(join(tree, 'file'), content)
  await writeFile(join(tree, 'sub', 'odd \u001b[31m name'), 'hello')
  await symlink('file', join(tree, 'link'))
  const { roots } = await api.add([{ path: tree }])
  return { cid: roots[0]?.cid ?? '', content }
}

async function listed(api: Api, ref: string, options: { long?: boolean; recursive?: boolean } = {}) {
  const entries: LsEntry[] = []
  const result = await api.run('ls', { ref, ...options, ...offline, onEvent: (entry) => void entries.push(entry) })
  assert.equal(result.entries, entries.length)
  return entries
}

function collector() {
  const pieces: Uint8Array[] = []
  return {
    write: async (bytes: Uint8Array) => void pieces.push(Uint8Array.from(bytes)),
    bytes: () => Buffer.concat(pieces),
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

export function lookSuite(apiTest: (title: string, body: (made: MadeApi) => Promise<void>) => void): void {
  apiTest('ls tells names, or what they are', async (made) => {
    const { api } = made
    const { cid } = await addTree(made)
    const names = await listed(api, cid)
    assert.deepEqual(
      names.map(({ path, kind, bytes }) => [path, kind, bytes]),
      [
        ['file', null, null],
        ['link', null, null],
        ['sub', null, null],
      ],
    )
    const all = await listed(api, cid, { recursive: true })
    assert.deepEqual(
      all.map(({ path, kind, bytes, target, codec }) => [path, kind, bytes, target, codec]),
      [
        ['file', 'file', 3 * MiB + 5, null, 'dag-pb'],
        ['link', 'symlink', null, 'file', 'dag-pb'],
        ['sub', 'folder', null, null, 'dag-pb'],
        ['sub/odd \u001b[31m name', 'file', 5, null, 'raw'],
      ],
    )
    assert.deepEqual(await listed(api, `${cid}/sub/odd \u001b[31m name`, { long: true }), [
      { ...all[3], path: 'odd \u001b[31m name' },
    ])
    await assert.rejects(listed(api, `${cid}/sup`), (error) => hasCode(error, 'not-found'))
  })

  apiTest('cat gives the part that is asked for', async (made) => {
    const { api } = made
    const { cid, content } = await addTree(made)
    for (const [offset, length] of [
      [undefined, undefined],
      [MiB - 1, 2],
      [3 * MiB, 100],
      [4 * MiB, undefined],
      [7, 0],
    ]) {
      const out = collector()
      const result = await api.run('cat', { ref: `${cid}/file`, offset, length, write: out.write, ...offline })
      const start = offset ?? 0
      const wanted = content.subarray(start, length === undefined ? undefined : start + length)
      assert.ok(out.bytes().equals(wanted), `${offset} ${length}`)
      assert.equal(result.bytes, wanted.byteLength)
    }
    const folder = api.run('cat', { ref: cid, write: collector().write, ...offline })
    await assert.rejects(folder, (error) => hasCode(error, 'usage') && /p2p ls/.test(error.hint ?? ''))
  })

  apiTest('info and dag-stat count what there is', async (made) => {
    const { api } = made
    const { cid } = await addTree(made)
    const { blocks, blockBytes, layout, ...info } = await api.run('info', { ref: cid, ...offline })
    assert.deepEqual(info, {
      cid,
      version: 1,
      codec: 'dag-pb',
      hash: 'sha2-256',
      kind: 'folder',
      bytes: 3 * MiB + 10,
      files: 2,
      folders: 2,
      depth: 3,
      complete: true,
      here: { blocks, blockBytes },
      providers: null,
    })
    assert.deepEqual(layout, {
      chunkBytes: MiB,
      rawLeaves: true,
      links: 4,
      sharded: false,
      profile: 'unixfs-v1-2025',
    })
    const stat = await api.run('dag-stat', { refs: [cid, `${cid}/file`], ...offline })
    assert.deepEqual(
      stat.dags.map((dag) => dag.blocks),
      [blocks, 5],
    )
    assert.deepEqual([stat.blocks, stat.blockBytes, blocks], [9, blockBytes, 9])
  })

  apiTest('a DAG goes out as a CAR file, and in again', async (made) => {
    const { api, folder } = made
    const { cid } = await addTree(made)
    const out = collector()
    const streamed = await api.run('car-export', { ref: cid, write: out.write, ...offline })
    const output = join(folder, 'tree.car')
    const saved = await api.run('car-export', { ref: cid, output, ...offline })
    assert.deepEqual(saved, { ...streamed, path: output })
    assert.ok(out.bytes().equals(await readFile(output)))
    assert.equal(saved.bytes, out.bytes().byteLength)
    await assert.rejects(api.run('car-export', { ref: cid, output, ...offline }), (error) =>
      hasCode(error, 'target-exists'),
    )
    await api.run('car-export', { ref: `${cid}/file`, output, force: true, ...offline })

    const roots: string[] = []
    const imported = await api.run('car-import', {
      content: once(out.bytes()),
      onEvent: (root) => void roots.push(root.cid),
    })
    assert.deepEqual(
      [imported.version, imported.blocks, imported.roots],
      [1, 9, [{ cid, pinned: true, problem: null }]],
    )
    assert.deepEqual(roots, [cid])
    const fromFile = await api.run('car-import', { path: output, pin: false })
    assert.deepEqual([fromFile.blocks, fromFile.roots[0]?.pinned], [5, false])
    await assert.rejects(api.run('car-import', { path: join(folder, 'none.car') }), (error) =>
      hasCode(error, 'not-found'),
    )
    const cut = api.run('car-import', { content: once(out.bytes().subarray(0, -1)) })
    await assert.rejects(cut, (error) => hasCode(error, 'bad-data') && /at byte \d+/.test(error.message))
  })

  apiTest('blocks are stored, found and removed one by one', async (made) => {
    const { api } = made
    const { cid: pinned } = await addTree(made)
    const bytes = randomBytes('a block', 10 * KiB)
    const put = await api.run('block-put', { content: once(bytes) })
    assert.equal(put.bytes, bytes.byteLength)
    assert.deepEqual(await api.run('block-stat', { ref: put.cid, ...offline }), put)
    const out = collector()
    assert.deepEqual(await api.run('block-get', { ref: put.cid, write: out.write, ...offline }), put)
    assert.ok(out.bytes().equals(bytes))

    const removed = await api.run('block-rm', { cids: [put.cid, put.cid, pinned] })
    assert.deepEqual(removed.removed, [put.cid])
    assert.deepEqual(
      removed.failures.map(({ cid }) => cid),
      [put.cid, pinned],
    )
    assert.deepEqual(await api.run('block-rm', { cids: [put.cid], force: true }), { removed: [], failures: [] })
    await assert.rejects(api.run('block-stat', { ref: put.cid, ...offline }), (error) => hasCode(error, 'not-found'))

    const emptyFolder = Buffer.from('0a020801', 'hex')
    const v0 = await api.run('block-put', { content: once(emptyFolder), v0: true })
    assert.equal(v0.cid, 'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn')
    for (const [options, code] of [
      [{ codec: 'nonsense' }, 'usage'],
      [{ hash: 'md5' }, 'usage'],
      [{ codec: 'raw', v0: true }, 'usage'],
      [{ codec: 'dag-pb' }, 'usage'],
    ] as const) {
      await assert.rejects(api.run('block-put', { content: once(bytes), ...options }), (error) => hasCode(error, code))
    }
    const tooLarge = api.run('block-put', { content: once(new Uint8Array(2 * MiB + 1)) })
    await assert.rejects(tooLarge, (error) => hasCode(error, 'limit'))
  })
}
