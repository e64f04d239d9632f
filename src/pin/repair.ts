/** Mends what `check.ts` finds. Called by `verify --repair`. */

import type { CID } from 'multiformats/cid'
import type { DiskBlockStore } from '../blockstore/disk-blockstore.ts'
import type { References } from '../blockstore/references.ts'
import { hasCode } from '../common/errors.ts'
import { blockKey, parseCid } from '../dag/cid.ts'
import type { Problem } from './check.ts'
import type { Pins } from './pins.ts'

export interface RepairParts {
  blocks: DiskBlockStore
  references: References
  pins: Pins
  removeFile: (path: string) => Promise<void>
  /** A block below `root` from others; undefined if nobody gives it. */
  fetch: (cid: CID, root: CID) => Promise<Uint8Array | undefined>
}

/** @returns whether it is mended; what was stored is durable after the next sync of the store */
export async function repair(parts: RepairParts, problem: Problem): Promise<boolean> {
  const { pins, removeFile } = parts
  switch (problem.kind) {
    case 'corrupt-block':
      return await replace(parts, problem.cid)
    case 'dangling-reference':
      return await letGo(parts, problem)
    case 'unreadable-reference':
    case 'unreadable-pack':
      return false
    case 'missing-block':
      return await fetchAgain(parts, problem)
    case 'unindexed-block':
      await pins.index.add([blockKey(problem.cid)], problem.holder)
      return true
    case 'leftover':
      await removeFile(problem.path)
      return true
  }
}

/** No pin was seen to lack it: it lies in a file of the user too, nobody needs it, or what leads to it is missing. */
async function replace(parts: RepairParts, cid: CID): Promise<boolean> {
  const bytes = await unlessUnreadable(parts.references.get(cid))
  // Once all nodes above it are here again it is asked for.
  if (bytes === undefined && (await parts.pins.isHeld(blockKey(cid)))) return false
  if (!(await setAside(parts, cid))) return false
  if (bytes !== undefined) await parts.blocks.put(cid, bytes)
  return true
}

async function setAside({ blocks }: RepairParts, cid: CID): Promise<boolean> {
  try {
    return (await blocks.get(cid)) === undefined
  } catch (error) {
    if (hasCode(error, 'io')) return false
    throw error
  }
}

/** What is needed stays until it is here without this file, whose disk may only not be mounted. */
async function letGo(
  { blocks, references, pins }: RepairParts,
  { cid, reference, tree, isFileUnchanged, isDownload }: Extract<Problem, { kind: 'dangling-reference' }>,
): Promise<boolean> {
  if (!isDownload && (await pins.isHeld(blockKey(cid)))) {
    const elsewhere = await unlessUnreadable(blocks.get(cid).then((bytes) => bytes ?? references.get(cid)))
    if (elsewhere === undefined) return false
  }
  await references.drop(reference.fileId, blockKey(cid))
  if (tree.root !== undefined && !isFileUnchanged) await pins.markPartial(parseCid(tree.root))
  return true
}

async function unlessUnreadable(reading: Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> {
  return await reading.catch((error) => {
    if (hasCode(error, 'io')) return undefined
    throw error
  })
}

async function fetchAgain(parts: RepairParts, { cid, root }: { cid: CID; root: CID }): Promise<boolean> {
  const { blocks, fetch } = parts
  // What is right and yet no part of a tree stays so whoever gives it.
  if (!(await setAside(parts, cid))) return false
  const bytes = await fetch(cid, root)
  if (bytes === undefined) return false
  await blocks.put(cid, bytes)
  return true
}
