/** `block get`, `put`, `stat`, `rm`: single blocks, whatever they are part of. */

import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import type { BlockStore } from '../../blockstore/blockstore.ts'
import { messageOf, P2PError } from '../../common/errors.ts'
import { assertAllowedCid, digestOf, MAX_BLOCK_BYTES } from '../../dag/block.ts'
import { blockKey, DAG_PB, isIdentity, parseCid, SHA2_256 } from '../../dag/cid.ts'
import { codecName, codecNames, codecOf } from '../../dag/codecs.ts'
import { hashOf } from '../../dag/hashes.ts'
import { hasKnownLinks, linksOf } from '../../dag/links.ts'
import { parseRef } from '../../dag/ref.ts'
import type { Pins } from '../../pin/pins.ts'
import { resolvePath } from '../../unixfs/path.ts'
import type {
  BlockGetOptions,
  BlockOptions,
  BlockPutOptions,
  BlockRmOptions,
  BlockRmResult,
  BlockStat,
} from '../api/blocks.ts'
import { readContent } from './content.ts'
import { Fetching, type FetchingParts } from './fetching.ts'

/** @throws P2PError as `Api.run` says of it */
export async function blockGet(parts: FetchingParts, options: BlockGetOptions): Promise<BlockStat> {
  const { cid, bytes } = await fetchBlock(parts, options)
  await options.write(bytes)
  return { cid: cid.toString(), bytes: bytes.byteLength }
}

/** @throws P2PError as `Api.run` says of it */
export async function blockStat(parts: FetchingParts, options: BlockOptions): Promise<BlockStat> {
  const { cid, bytes } = await fetchBlock(parts, options)
  return { cid: cid.toString(), bytes: bytes.byteLength }
}

/** @throws P2PError as `Api.run` says of it */
export async function blockPut(
  { store, pins }: { store: BlockStore; pins: Pick<Pins, 'holding'> },
  options: BlockPutOptions,
): Promise<BlockStat> {
  const { content, signal } = options
  const bytes = await readAll(readContent(content, { signal }))
  const cid = cidOf(bytes, options)
  // A node that cannot be read would stop whoever walks over it.
  if (hasKnownLinks(cid)) assertReadable(cid, bytes)
  await pins.holding(async (hold) => {
    await hold.over(store).put(cid, bytes, { signal })
    await store.sync({ signal })
  })
  return { cid: cid.toString(), bytes: bytes.byteLength }
}

/** @throws P2PError as `Api.run` says of it */
export async function blockRm(
  { store, pins }: { store: BlockStore; pins: Pick<Pins, 'removeUnheld'> },
  { cids, force = false, signal }: BlockRmOptions,
): Promise<BlockRmResult> {
  const result: BlockRmResult = { removed: [], failures: [] }
  for (const cid of cids.map(parseCid)) {
    signal?.throwIfAborted()
    const name = cid.toString()
    if (!(await store.has(cid, { signal })) || isIdentity(cid)) {
      if (!force) result.failures.push({ cid: name, isHere: false, message: 'it is not in the local store' })
      continue
    }
    let isRemoved = false
    await pins.removeUnheld([blockKey(cid)], async () => {
      await store.delete(cid, { signal })
      isRemoved = true
    })
    if (isRemoved) result.removed.push(name)
    else {
      const message = 'a pin, a download or an operation under way needs it'
      result.failures.push({ cid: name, isHere: true, message })
    }
  }
  return result
}

/** @throws P2PError `usage` for what is not of the codec that it was said to be of */
function assertReadable(cid: CID, bytes: Uint8Array): void {
  try {
    linksOf(cid, bytes)
  } catch (cause) {
    throw new P2PError('usage', `These bytes are no ${codecName(cid.code)} node: ${messageOf(cause)}`, {
      hint: 'Without --codec and --v0 they are put as they are; "p2p add" makes nodes of files.',
      cause,
    })
  }
}

async function fetchBlock(parts: FetchingParts, options: BlockOptions): Promise<{ cid: CID; bytes: Uint8Array }> {
  const ref = parseRef(options.ref)
  const fetching = new Fetching(parts, ref, options)
  try {
    const { blocks, nodes, signal } = fetching
    const cid = await resolvePath(ref.cid, ref.path, nodes, { signal })
    return { cid, bytes: await blocks.fetch(cid, { signal }) }
  } finally {
    await fetching.close()
  }
}

async function readAll(content: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of content) {
    bytes += piece.byteLength
    if (bytes > MAX_BLOCK_BYTES) {
      throw new P2PError('limit', `A block has at most ${MAX_BLOCK_BYTES} bytes`, {
        hint: 'Larger files are cut into blocks by "p2p add".',
      })
    }
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

function cidOf(bytes: Uint8Array, options: BlockPutOptions): CID {
  const { v0 = false, codec: codecName = v0 ? 'dag-pb' : 'raw', hash: hashName = 'sha2-256' } = options
  const codec = codecOf(codecName)
  if (codec === undefined) {
    throw new P2PError('usage', `There is no codec "${codecName}"`, { hint: `Known are ${codecNames().join(', ')}.` })
  }
  const hash = hashOf(hashName)
  const digest = hash === undefined ? undefined : digestOf(hash, bytes)
  if (hash === undefined || digest === undefined) {
    throw new P2PError('usage', `The hash function "${hashName}" is not supported`, {
      hint: 'The usual one is sha2-256.',
    })
  }
  const cid = CID.createV1(codec, createDigest(hash, digest))
  assertAllowedCid(cid)
  if (!v0) return cid
  if (codec !== DAG_PB || hash !== SHA2_256) {
    throw new P2PError('usage', 'CIDv0 is for dag-pb blocks with sha2-256 only', { hint: 'Leave out --v0.' })
  }
  return cid.toV0()
}
