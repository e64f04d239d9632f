/** `dag stat`: how many blocks DAGs have, and how large they are; each block is counted once. */

import { type BlockKey, blockKey } from '../../dag/cid.ts'
import { walkDepthFirst } from '../../dag/depth-first.ts'
import { parseRef } from '../../dag/ref.ts'
import { resolvePath } from '../../unixfs/path.ts'
import type { DagStat, DagStatOptions, DagStatResult } from '../api/blocks.ts'
import { DagReader } from './dag-reader.ts'
import { Fetching, type FetchingParts } from './fetching.ts'

/** @throws P2PError as `Api.run` says of it */
export async function dagStat(parts: FetchingParts, options: DagStatOptions): Promise<DagStatResult> {
  const refs = options.refs.map((text) => ({ text, ref: parseRef(text) }))
  const all = { dags: [] as DagStat[], blocks: 0, blockBytes: 0 }
  const counted = new Set<BlockKey>()
  for (const { text, ref } of refs) {
    let blocks = 0
    let blockBytes = 0
    const fetching = new Fetching(parts, ref, options, { done: () => blockBytes })
    try {
      const { signal } = fetching
      const reader = new DagReader(fetching, parts.store)
      const root = await resolvePath(ref.cid, ref.path, fetching.nodes, { signal })
      for await (const { cid, size } of walkDepthFirst(root, (next) => reader.measure(next), { signal })) {
        blocks++
        blockBytes += size
        if (counted.has(blockKey(cid))) continue
        counted.add(blockKey(cid))
        all.blocks++
        all.blockBytes += size
      }
      const dag = { ref: text, cid: root.toString(), blocks, blockBytes, opaque: reader.opaque?.toString() ?? null }
      all.dags.push(dag)
      await options.onEvent?.(dag)
    } finally {
      await fetching.close()
    }
  }
  return all
}
