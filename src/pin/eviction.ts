/**
 * Which results of downloads go to make room: the one that was of no use for longest first, no more than needed, and
 * none where all of them would not be enough, since what most of them have lies in files of the user. Used by
 * `collector.ts`.
 */

import type { CID } from 'multiformats/cid'
import type { DiskBlockStore } from '../blockstore/disk-blockstore.ts'
import { type BlockKey, cidOfKey } from '../dag/cid.ts'
import type { Pin, Pins } from './pins.ts'

interface EvictionParts {
  blocks: DiskBlockStore
  pins: Pins
}

/**
 * @param wanted - so many bytes less in block files; where that cannot be had, the next one
 * @returns kept roots, to be collected once they are removed
 */
export async function rootsToEvict(parts: EvictionParts, wanted: readonly number[]): Promise<CID[]> {
  const kept = await longestUnusedFirst(parts.pins)
  const freed = await bytesFreed(parts, kept)
  const most = freed.reduce((sum, bytes) => sum + bytes, 0)
  let missing = wanted.find((bytes) => bytes <= most) ?? 0
  const roots: CID[] = []
  for (const [index, { cid }] of kept.entries()) {
    if (missing <= 0) break
    missing -= freed[index]!
    roots.push(cid)
  }
  return roots
}

async function longestUnusedFirst(pins: Pins): Promise<Pin[]> {
  const kept: Pin[] = []
  for await (const pin of pins.list()) if (pin.kind === 'kept') kept.push(pin)
  const usedAt = (pin: Pin) => pin.usedAt ?? pin.createdAt
  return kept.sort((one, other) => usedAt(one) - usedAt(other))
}

/** Of each root, the block files that nobody holds any more when it goes after those before it. */
async function bytesFreed({ blocks, pins }: EvictionParts, kept: readonly Pin[]): Promise<number[]> {
  const freed = kept.map(() => 0)
  const places = new Map(kept.map(({ holder }, index) => [holder, index]))
  const counts = await pins.holders()
  for await (const { shard, keys } of blocks.shards()) {
    const lastHolders = new Map<BlockKey, number>()
    for await (const { key, holder } of pins.index.list(shard)) {
      // Whoever is no kept root stays.
      const place = places.get(holder) ?? kept.length
      if (counts(holder)) lastHolders.set(key, Math.max(place, lastHolders.get(key) ?? 0))
    }
    for (const key of keys) {
      const last = lastHolders.get(key) ?? kept.length
      if (last === kept.length) continue
      freed[last]! += (await blocks.size(cidOfKey(key))) ?? 0
    }
  }
  return freed
}
