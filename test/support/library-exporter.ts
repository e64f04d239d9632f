/** Reads trees with `ipfs-unixfs-exporter`, to check ours against code that is not ours. */

import { exporter, recursive } from 'ipfs-unixfs-exporter'
import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../src/blockstore/blockstore.ts'

/** Every file and folder at and below a CID: path from it (folders end in `/`, and have no content) to content. */
export async function exportWithLibrary(root: CID, store: BlockStore): Promise<Map<string, Buffer | undefined>> {
  const storage = {
    async *get(cid: CID): AsyncGenerator<Uint8Array> {
      const bytes = await store.get(cid)
      if (bytes === undefined) throw new Error(`Block ${cid} is missing`)
      yield bytes
    },
  }
  const found = new Map<string, Buffer | undefined>()
  for await (const { cid, path: pathFromRoot } of recursive(root, storage)) {
    const path = pathFromRoot.split('/').slice(1).join('/')
    const entry = await exporter(cid, storage)
    if (entry.type === 'directory') {
      found.set(`${path}/`, undefined)
      continue
    }
    if (entry.type === 'object') throw new Error(`${cid} is not UnixFS`)
    const pieces: Uint8Array[] = []
    for await (const piece of entry.content()) pieces.push(piece)
    found.set(path, Buffer.concat(pieces))
  }
  return found
}
