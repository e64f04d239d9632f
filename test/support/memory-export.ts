/** Trees in memory for tests of the exporter: blocks to export from, and a result to look into. */

import assert from 'node:assert/strict'
import { encode, prepare } from '@ipld/dag-pb'
import type { CID } from 'multiformats/cid'
import { P2PError } from '../../src/common/errors.ts'
import { type Block, bytesInCid, type FetchOptions } from '../../src/dag/block.ts'
import { blockKey } from '../../src/dag/cid.ts'
import { safeEntryName } from '../../src/files/safe-name.ts'
import { type ContentSink, type ExportOptions, exportTree } from '../../src/unixfs/exporter.ts'
import { encodeUnixfs } from '../../src/unixfs/unixfs-data.ts'
import type { Place, WalkFile } from '../../src/unixfs/walk-steps.ts'
import { dagPbBlock } from './blocks.ts'

export interface Child {
  block: Block
  bytes: number
}

export const leaf = (block: Block): Child => ({ block, bytes: block.bytes.byteLength })

/** A file node over these children. */
export function fileOf(children: Child[], blockSizes = children.map(({ bytes }) => bytes)): Child {
  const bytes = blockSizes.reduce((sum, size) => sum + size, 0)
  const node = prepare({
    Data: encodeUnixfs({ type: 'file', fileSize: bytes, blockSizes }),
    Links: children.map(({ block }) => ({ Hash: block.cid, Name: '', Tsize: block.bytes.byteLength })),
  })
  return { block: dagPbBlock(encode(node)), bytes }
}

export function folderOf(entries: Record<string, Child>): Child {
  const names = Object.keys(entries).sort()
  const node = prepare({
    Data: encodeUnixfs({ type: 'directory', blockSizes: [] }),
    Links: names.map((name) => ({ Hash: entries[name]!.block.cid, Name: name, Tsize: entries[name]!.bytes })),
  })
  return { block: dagPbBlock(encode(node)), bytes: 0 }
}

/** Blocks that are given out on demand, with a record of what was asked for. */
export class Source {
  readonly #blocks = new Map<string, Uint8Array>()
  readonly asked: string[] = []
  concurrent = 0
  maxConcurrentBytes = 0
  #bytes = 0

  hold(...children: Child[]): this {
    for (const { block } of children) this.#blocks.set(blockKey(block.cid), block.bytes)
    return this
  }

  put(cid: CID, bytes: Uint8Array): void {
    this.#blocks.set(blockKey(cid), bytes)
  }

  async fetch(cid: CID, options: FetchOptions = {}): Promise<Uint8Array> {
    this.asked.push(cid.toString())
    this.#bytes += options.expectedBytes ?? 0
    this.maxConcurrentBytes = Math.max(this.maxConcurrentBytes, this.#bytes)
    await new Promise((resolve) => setImmediate(resolve))
    this.#bytes -= options.expectedBytes ?? 0
    const bytes = bytesInCid(cid) ?? this.#blocks.get(blockKey(cid))
    if (bytes === undefined) throw new P2PError('no-provider', `no ${cid}`)
    return bytes
  }
}

/** A result in memory. */
export class MemorySink implements ContentSink {
  readonly files = new Map<string, Buffer>()
  readonly closed = new Set<string>()
  readonly folders: string[] = []
  readonly links = new Map<string, string>()
  readonly refused: string[] = []
  readonly opaque: string[] = []
  writes = 0
  total: number | undefined
  end = Number.POSITIVE_INFINITY

  async expectBytes(totalBytes: number) {
    this.total = totalBytes
  }
  async makeFolder(path: readonly string[]) {
    this.folders.push(path.join('/'))
  }
  async makeLink(path: readonly string[], target: string) {
    this.links.set(path.join('/'), target)
  }
  async openFile({ path, bytes }: WalkFile) {
    this.files.set(path.join('/'), Buffer.alloc(bytes ?? 0))
  }
  async placedBytes(): Promise<number | undefined> {
    return undefined
  }
  async write({ file, offset }: Place, content: Uint8Array) {
    const name = file.path.join('/')
    if (this.files.get(name)!.byteLength === 0) this.files.set(name, Buffer.alloc(file.bytes!))
    this.files.get(name)!.set(content, offset)
    this.writes++
  }
  async closeFile({ path }: WalkFile) {
    assert.ok(!this.closed.has(path.join('/')), 'closed once')
    this.closed.add(path.join('/'))
  }
  async writeFile({ path }: WalkFile, content: Uint8Array) {
    assert.ok(!this.files.has(path.join('/')), 'written once')
    this.files.set(path.join('/'), Buffer.from(content))
    this.closed.add(path.join('/'))
    this.writes++
  }
  refuse(path: readonly string[]) {
    this.refused.push(path.join('/'))
  }
  windowEnd() {
    return this.end
  }
}

export async function exported(
  root: { block: Pick<Block, 'cid'> },
  source: Source,
  sink = new MemorySink(),
  options: Partial<ExportOptions> = {},
): Promise<MemorySink> {
  await exportTree(root.block.cid, sink, {
    nodes: source,
    leaves: source,
    release: () => {},
    onNode: async () => {},
    onFailure: () => {},
    onOpaque: (path) => sink.opaque.push(path.join('/')),
    checkName: safeEntryName,
    onProgress: () => {},
    ...options,
  })
  return sink
}
