/** The blocks of a store as they lie on the disk, and damage to them behind the store's back. */

import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { DiskBlockStore } from '../../src/blockstore/disk-blockstore.ts'
import { decodeRecords, PACK_HEADER } from '../../src/blockstore/pack-format.ts'
import { sharding } from '../../src/blockstore/sharding.ts'
import type { Block } from '../../src/dag/block.ts'
import { blockKey, multihashOfKey, rawCid } from '../../src/dag/cid.ts'
import { resolveLocation } from '../../src/repo/location.ts'
import { openRepo } from '../../src/repo/repo.ts'

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

/** Makes a repo with these blocks, whatever they are, and no pin. */
export async function makeRepoOf(folder: string, blocks: Iterable<Block>): Promise<void> {
  const location = resolveLocation({ repo: folder, env: {}, home: folder, cwd: folder })
  const repo = await openRepo({ location, command: 'test', waitMs: 0 })
  const store = await DiskBlockStore.open(repo.blocksDir, repo.database)
  for (const { cid, bytes } of blocks) await store.put(cid, bytes)
  await store.close()
  await repo.close()
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
