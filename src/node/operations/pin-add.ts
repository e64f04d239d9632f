/** `pin add`: a reference pinned, and what of it is not here fetched into the store. The walk is that of `get`. */

import { SECOND_MS } from '../../common/units.ts'
import { blockKey, parseCid } from '../../dag/cid.ts'
import { parseRef } from '../../dag/ref.ts'
import { resolvePath } from '../../unixfs/path.ts'
import type { PinAddOptions, PinAddResult } from '../api/pins.ts'
import type { NodeParts } from '../parts.ts'
import { Fetching } from './fetching.ts'
import { type GetParts, pinRef } from './get.ts'

type PinAddParts = GetParts & Pick<NodeParts, 'blocks' | 'pins' | 'provider' | 'collector'>

/** @throws P2PError as `Api.run` says of it */
export async function pinAdd(parts: PinAddParts, options: PinAddOptions): Promise<PinAddResult> {
  const result = options.direct === true ? await pinBlock(parts, options) : await pinTree(parts, options)
  parts.provider()?.announce(parseCid(result.cid))
  await parts.collector.relieve(options)
  return result
}

async function pinTree(parts: PinAddParts, { ref, name, ...options }: PinAddOptions): Promise<PinAddResult> {
  const { cid, stats } = await pinRef(parts, ref, { ...options, name })
  const { bytes, receivedBytes, seconds } = stats
  return { cid, kind: 'recursive', bytes, receivedBytes, seconds }
}

async function pinBlock(parts: PinAddParts, { ref: text, name, ...options }: PinAddOptions): Promise<PinAddResult> {
  const { pins, blocks, clock } = parts
  const startedAt = clock.monotonicMs()
  const ref = parseRef(text)
  const fetching = new Fetching(parts, ref, options)
  try {
    const { signal } = fetching
    const cid = await resolvePath(ref.cid, ref.path, fetching.nodes, { signal })
    const block = await fetching.blocks.fetch(cid, { signal })
    await pins.holding(async (hold) => {
      await hold.over(blocks).put(cid, block, { signal })
      await blocks.sync({ signal })
      await pins.add({ cid, name, bytes: block.byteLength, kind: 'direct' }, hold)
    })
    fetching.exchange?.blockStored(blockKey(cid), block.byteLength)
    return {
      cid: cid.toString(),
      kind: (await pins.get(cid))?.kind ?? 'direct',
      bytes: block.byteLength,
      receivedBytes: fetching.session?.stats().receivedBytes ?? 0,
      seconds: (clock.monotonicMs() - startedAt) / SECOND_MS,
    }
  } finally {
    await fetching.close()
  }
}
