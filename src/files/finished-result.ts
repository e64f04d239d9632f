/**
 * Whether a result stands at its target already, because an earlier run of the same download ended after it had put it
 * there and before it could say so. Used by `node/operations/get.ts`.
 */

import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { isUnchanged } from '../blockstore/reference-codec.ts'
import type { ReferencedTree, References } from '../blockstore/references.ts'
import { temporaryPath } from './target.ts'
import { TreeNotes } from './tree-notes.ts'

export interface FinishedResult {
  /** Of content. */
  bytes: number
  /** Whether the earlier run got so far as to note that it had put the result there. */
  isNoted: boolean
}

/** What an earlier run in the same boot has put at `target`, if it is whole and no file of it has been changed since. */
export async function findFinishedResult(
  references: References,
  { target, root, bootId }: { target: string; root: CID; bootId: string },
): Promise<FinishedResult | undefined> {
  const temporary = temporaryPath(target, root)
  for await (const tree of references.trees()) {
    if (tree.root !== root.toString() || tree.bootId !== bootId) continue
    const isNoted = tree.state === 'finished' && tree.path === target
    const isPlaced = tree.state === 'building' && tree.path === temporary && tree.isWhole === true
    if (!isNoted && !isPlaced) continue
    const bytes = await bytesIfUnchanged(references, tree, target)
    if (bytes === undefined) continue
    if (isPlaced) await new TreeNotes(references, tree.id).finish(target, root, { builtAt: temporary })
    return { bytes, isNoted }
  }
  return undefined
}

async function bytesIfUnchanged(
  references: References,
  { id }: ReferencedTree,
  target: string,
): Promise<number | undefined> {
  const top = await lstat(target).catch(() => undefined)
  if (top === undefined) return undefined
  let bytes = 0
  let isFolder = true
  for await (const file of references.filesOf(id)) {
    if (file.name === '') isFolder = false
    const stats = await lstat(join(target, file.name), { bigint: true }).catch(() => undefined)
    if (stats === undefined || !isUnchanged(file, stats)) return undefined
    bytes += Number(stats.size)
  }
  return isFolder === top.isDirectory() ? bytes : undefined
}
