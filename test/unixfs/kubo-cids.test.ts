/** What Kubo makes of known input; where each vector comes from is told in `fixtures/README.md`. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCid } from '../../src/dag/cid.ts'
import { metadataRule } from '../../src/node/operations/entry-metadata.ts'
import { decodeNode } from '../../src/unixfs/decode.ts'
import { buildShards } from '../../src/unixfs/hamt.ts'
import { importSettings } from '../../src/unixfs/import-settings.ts'
import { importFile } from '../../src/unixfs/importer.ts'
import { linkTo, type NodeRef, NodeWriter } from '../../src/unixfs/node-writer.ts'
import { buildDirectory, buildSymlink } from '../../src/unixfs/nodes.ts'
import { importVector, nowhere } from '../support/imports.ts'
import { MemoryBlockStore } from '../support/memory-blockstore.ts'
import { cidOfText, describeFile, folderNames, vectors } from '../support/vectors.ts'

const V0 = importSettings({ profile: 'unixfs-v0-2015' })

for (const file of vectors.files.filter(({ large }) => large !== true)) {
  test(`${describeFile(file)}: ${file.cid}`, async () => {
    assert.equal(await importVector(file), file.cid)
  })
}

for (const [hash, cid] of Object.entries(vectors.hashes)) {
  test(`a file by ${hash}: ${cid}`, async () => {
    const settings = importSettings({ hash })
    const file = await importText('hello world', new NodeWriter(nowhere, settings), settings)
    assert.equal(file.cid.toString(), cid)
  })
}

for (const folder of vectors.folders) {
  const { names, lastNameLength, kind, switches } = folder
  test(`a ${kind} of ${names} names, the last of ${lastNameLength} bytes, with ${JSON.stringify(switches)}`, async () => {
    const settings = importSettings(switches)
    const writer = new NodeWriter(nowhere, settings)
    const file = await importText('x', writer, settings)
    const links = folderNames(folder).map((name) => linkTo(name, file))
    const { cid } = await buildDirectory(links, writer, settings)
    assert.equal(cid.toString(), folder.cid)
  })
}

for (const { switches, sharded, cid } of vectors.numberedFolders) {
  test(`2000 numbered files, ${sharded ? 'sharded' : 'flat'}, with ${JSON.stringify(switches)}`, async () => {
    const settings = importSettings(switches)
    const writer = new NodeWriter(nowhere, settings)
    const links = []
    for (let number = 1; number <= 2000; number++) {
      links.push(linkTo(`file${number}`, await importText(`${number}\n`, writer, settings)))
    }
    const folder = await (sharded
      ? buildShards(links, writer, { fanout: 256 })
      : buildDirectory(links, writer, { ...settings, maxDirectoryLinks: 0 }))
    assert.equal(folder.cid.toString(), cid)
  })
}

for (const { target, cid } of vectors.links) {
  test(`a link to ${target}: ${cid}`, async () => {
    const link = await buildSymlink(target, new NodeWriter(nowhere, V0))
    assert.equal(link.cid.toString(), cid)
  })
}

for (const { kind, mode, mtime, cid } of vectors.metadata) {
  test(`an empty ${kind} with mode ${mode} and mtime ${mtime}: ${cid}`, async () => {
    const writer = new NodeWriter(nowhere, V0)
    const metadata = metadataRule({ mode: mode === undefined ? undefined : Number.parseInt(mode, 8), mtime }).given
    const make: Record<typeof kind, () => Promise<NodeRef>> = {
      file: () => importText('', writer, V0, metadata),
      symlink: () => buildSymlink('nothing', writer, metadata),
      directory: () => buildDirectory([], writer, V0, metadata),
    }
    assert.equal((await make[kind]()).cid.toString(), cid)
  })
}

test('metadata of a file with raw leaves is kept by a node above them', async () => {
  const settings = importSettings()
  const metadata = { mode: 0o644, mtime: { seconds: 1, nanoseconds: 0 } }
  const inner = new MemoryBlockStore()
  const writer = new NodeWriter(inner, settings)
  const text = 'hello world'
  const root = await importText(text, writer, settings, metadata)
  assert.deepEqual(decodeNode(root.cid, (await inner.get(root.cid))!), {
    kind: 'file',
    bytes: text.length,
    content: new Uint8Array(0),
    children: [{ cid: parseCid(cidOfText(text)), offset: 0, bytes: text.length }],
    metadata,
  })
  const empty = await importText('', writer, settings, metadata)
  const { kind, metadata: kept } = decodeNode(empty.cid, (await inner.get(empty.cid))!)
  assert.deepEqual([kind, kept], ['leaf', metadata])
})

async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

async function importText(
  text: string,
  writer: NodeWriter,
  settings: ReturnType<typeof importSettings>,
  metadata = {},
): Promise<NodeRef> {
  return await importFile(pieces(text), writer, settings, async () => {}, metadata)
}
