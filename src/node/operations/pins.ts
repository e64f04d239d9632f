/** `pin rm` and `pin ls`. */

import { parseCid } from '../../dag/cid.ts'
import type { Pin, Pins } from '../../pin/pins.ts'
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
  for await (const pin of pins.list()) {
    signal?.throwIfAborted()
    for (const entry of entriesOf(pin)) {
      if (entry.kind === 'kept' && !all) continue
      count++
      await onEvent?.(entry)
    }
  }
  return { pins: count }
}

/** Two for a download whose block is pinned by itself. */
function entriesOf({ cid, kind, name, bytes, blockBytes, createdAt, usedAt }: Pin): PinEntry[] {
  const entry: PinEntry = {
    cid: cid.toString(),
    kind,
    name: name ?? null,
    bytes,
    createdAt: new Date(createdAt).toISOString(),
    usedAt: usedAt === undefined ? null : new Date(usedAt).toISOString(),
  }
  return blockBytes === undefined ? [entry] : [entry, { ...entry, kind: 'direct', bytes: blockBytes, usedAt: null }]
}
