/** The blocks of a store as they lie on the disk, and damage to them behind the store's back. */

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { decodeRecords, PACK_HEADER } from '../../src/blockstore/pack-format.ts'
import { sharding } from '../../src/blockstore/sharding.ts'
import { blockKey, multihashOfKey, rawCid } from '../../src/dag/cid.ts'

interface StoredBlock {
  /** As raw, whatever it is. */
  cid: CID
  /** Of the file that it lies in: its own, or a pack. */
  path: string
  offset: number
  length: number
}

/** Every block that is in a file of the store and matches; in packs also those that were deleted. */
export async function storedBlocks(folder: string): Promise<StoredBlock[]> {
  const stored: StoredBlock[] = []
  for (const name of await readdir(folder, { recursive: true })) {
    const path = join(folder, name)
    if (name.endsWith(sharding.extension)) {
      stored.push({ cid: sharding.decode(name), path, offset: 0, length: (await readFile(path)).byteLength })
    } else if (name.endsWith('.car')) {
      for (const { key, offset, length } of decodeRecords((await readFile(path)).subarray(PACK_HEADER.byteLength))) {
        const cid = rawCid(Digest.decode(multihashOfKey(key)))
        stored.push({ cid, path, offset: PACK_HEADER.byteLength + offset, length })
      }
    }
  }
  return stored
}

/** Changes one bit in each of the blocks, or in all of them. */
export async function damageStored(folder: string, cids?: readonly CID[]): Promise<void> {
  const keys = cids && new Set(cids.map(blockKey))
  for (const { cid, path, offset, length } of await storedBlocks(folder)) {
    if (keys?.has(blockKey(cid)) === false) continue
    const content = await readFile(path)
    content[offset + Math.floor(length / 2)]! ^= 1
    await writeFile(path, content)
  }
}
