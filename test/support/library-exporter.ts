/** Reads trees with `ipfs-unixfs-exporter`, to check ours against code that is not ours. */

import { recursive } from 'ipfs-unixfs-exporter'
import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../src/blockstore/blockstore.ts'

/** Every file below a CID: path (without the root's own name) to content. Folders end in `/` and map to undefined. */
export async function exportWithLibrary(root: CID, store: BlockStore): Promise<Map<string, Buffer | undefined>> {
  const storage = {
    async *get(cid: CID): AsyncGenerator<Uint8Array> {
      const bytes = await store.get(cid)
      if (bytes === undefined) throw new Error(`Block ${cid} is missing`)
      yield bytes
    },
  }
  const found = new Map<string, Buffer | undefined>()
  for await (const entry of recursive(root, storage)) {
    const path = entry.path.split('/').slice(1).join('/')
    if (entry.type === 'directory') found.set(`${path}/`, undefined)
    else found.set(path, Buffer.concat(await Array.fromAsync(entry.content())))
  }
  return found
}
