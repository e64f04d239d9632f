/** `car export`: a DAG as a CAR file, its blocks depth first in the order of their links. */

import type { CID } from 'multiformats/cid'
import { carHeader, sectionHeader } from '../../car/write.ts'
import { raceAbort } from '../../common/abort.ts'
import type { KeyedLock } from '../../common/keyed-lock.ts'
import { walkDepthFirst } from '../../dag/depth-first.ts'
import { parseRef } from '../../dag/ref.ts'
import { writeWholeFile } from '../../files/whole-file.ts'
import { resolvePath } from '../../unixfs/path.ts'
import type { CarExportOptions, CarExportResult } from '../api/blocks.ts'
import { DagReader } from './dag-reader.ts'
import { Fetching, type FetchingParts } from './fetching.ts'
import { paced } from './paced.ts'

/** @throws P2PError as `Api.run` says of it */
export async function carExport(
  parts: FetchingParts & { targets: KeyedLock },
  options: CarExportOptions,
): Promise<CarExportResult> {
  const { output, force = false, write } = options
  const ref = parseRef(options.ref)
  const counts = { blocks: 0, bytes: 0 }
  let isWriting = false
  const fetching = new Fetching(parts, ref, options, { done: () => counts.bytes, isBusy: () => isWriting })
  const { signal } = fetching
  const reader = new DagReader(fetching, parts.store)
  async function* pieces(root: CID): AsyncGenerator<Uint8Array> {
    for await (const { cid, size, bytes } of walkDepthFirst(root, (next) => reader.read(next), { signal })) {
      // Where not even the root can be had there is no file.
      if (counts.blocks === 0) yield carHeader([root])
      counts.blocks++
      yield sectionHeader(cid, size)
      if (size > 0) yield bytes!
    }
  }
  const report = paced(parts.clock, () => {
    options.onProgress?.({ type: 'car-progress', action: 'export', totalBytes: null, ...counts })
  })
  /** Whoever takes them may be slow. */
  async function* watched(root: CID): AsyncGenerator<Uint8Array> {
    for await (const piece of pieces(root)) {
      counts.bytes += piece.byteLength
      report()
      isWriting = true
      yield piece
      isWriting = false
    }
  }

  let release = () => {}
  try {
    if (output !== undefined) release = await parts.targets.take(output, { signal })
    const root = await resolvePath(ref.cid, ref.path, fetching.nodes, { signal })
    if (output !== undefined) await writeWholeFile(output, watched(root), { root, force })
    else for await (const piece of watched(root)) await raceAbort(Promise.resolve(write?.(piece)), { signal })
    const opaque = reader.opaque?.toString() ?? null
    return { cid: root.toString(), path: output ?? null, ...counts, opaque }
  } finally {
    release()
    await fetching.close()
  }
}
