/** `ls`: what is in a folder, entry by entry as it is found. */

import type { CID } from 'multiformats/cid'
import { raceAbort } from '../../common/abort.ts'
import { RAW } from '../../dag/cid.ts'
import { codecName } from '../../dag/codecs.ts'
import { parseRef, type Ref } from '../../dag/ref.ts'
import { type Description, describeBlock } from '../../unixfs/describe.ts'
import { listFolder } from '../../unixfs/list.ts'
import { resolvePath } from '../../unixfs/path.ts'
import type { Mtime } from '../../unixfs/unixfs-data.ts'
import type { LsEntry, LsOptions, LsResult } from '../api/look.ts'
import { Fetching, type FetchingParts } from './fetching.ts'

/** @throws P2PError as `Api.run` says of it */
export async function ls(parts: FetchingParts, options: LsOptions): Promise<LsResult> {
  const ref = parseRef(options.ref)
  let entries = 0
  let isTelling = false
  const fetching = new Fetching(parts, ref, options, { done: () => entries, isBusy: () => isTelling })
  try {
    const root = await resolvePath(ref.cid, ref.path, fetching.nodes, { signal: fetching.signal })
    for await (const entry of entriesBelow(root, ref, fetching, options)) {
      entries++
      isTelling = true
      await raceAbort(Promise.resolve(options.onEvent?.(entry)), { signal: fetching.signal })
      isTelling = false
    }
    return { cid: root.toString(), entries }
  } finally {
    await fetching.close()
  }
}

async function* entriesBelow(
  root: CID,
  ref: Ref,
  { nodes, blocks, signal }: Fetching,
  { long = false, recursive = false }: LsOptions,
): AsyncGenerator<LsEntry> {
  const readNode = async (cid: CID) => await nodes.fetch(cid, { signal })
  const top = describeBlock(root, await (root.code === RAW ? blocks : nodes).fetch(root, { signal }))
  if (top.type !== 'folder') {
    yield entryOf(ref.path.at(-1) ?? root.toString(), root, top)
    return
  }
  const options = { readNode, recursive, describe: long || recursive }
  for await (const { path, cid, description } of listFolder(top.node, options)) {
    yield entryOf(path.join('/'), cid, description)
  }
}

function entryOf(path: string, cid: CID, description: Description | undefined): LsEntry {
  const node = description !== undefined && 'node' in description ? description.node : undefined
  return {
    path,
    cid: cid.toString(),
    codec: codecName(cid.code),
    kind: description?.type ?? null,
    bytes: description?.type === 'file' ? description.bytes : null,
    mode: node?.metadata?.mode ?? null,
    mtime: isoTime(node?.metadata?.mtime),
    target: description?.type === 'symlink' ? description.node.target : null,
  }
}

function isoTime(mtime: Mtime | undefined): string | null {
  if (mtime === undefined) return null
  const time = new Date(mtime.seconds * 1000 + Math.floor(mtime.nanoseconds / 1_000_000))
  // Dates end in the year 275760; whoever made the node may have meant none.
  return Number.isNaN(time.getTime()) ? null : time.toISOString()
}
