/** `pin rm` and `pin ls`. */

import { parseCid } from '../../dag/cid.ts'
import type { Pins } from '../../pin/pins.ts'
import type { PinEntry, PinLsOptions, PinLsResult, PinRmOptions, PinRmResult } from '../api/pins.ts'

/** @throws P2PError as `Api.run` says of it */
export async function pinRm(
  { pins }: { pins: Pick<Pins, 'remove'> },
  { cids, signal }: PinRmOptions,
): Promise<PinRmResult> {
  const result: PinRmResult = { removed: [], failures: [] }
  // All are read before any is given up.
  for (const cid of cids.map(parseCid)) {
    signal?.throwIfAborted()
    const name = cid.toString()
    if (await pins.remove(cid)) result.removed.push(name)
    else result.failures.push({ cid: name, message: 'it is not pinned' })
  }
  return result
}

/** @throws P2PError as `Api.run` says of it */
export async function pinLs(
  { pins }: { pins: Pick<Pins, 'list'> },
  { all = false, onEvent, signal }: PinLsOptions,
): Promise<PinLsResult> {
  let count = 0
  for await (const { cid, kind, name = null, bytes, createdAt, usedAt } of pins.list()) {
    signal?.throwIfAborted()
    if (kind === 'kept' && !all) continue
    count++
    const entry: PinEntry = {
      cid: cid.toString(),
      kind,
      name,
      bytes,
      createdAt: new Date(createdAt).toISOString(),
      usedAt: usedAt === undefined ? null : new Date(usedAt).toISOString(),
    }
    await onEvent?.(entry)
  }
  return { pins: count }
}
