/** `info`: what a reference leads to, how much of it is here, and who else has how much of it. */

import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../../blockstore/blockstore.ts'
import { sleep } from '../../common/abort.ts'
import { mapBounded } from '../../common/concurrency.ts'
import { MiB, SECOND_MS } from '../../common/units.ts'
import { RAW, SHA2_256 } from '../../dag/cid.ts'
import { codecName } from '../../dag/codecs.ts'
import { hashName } from '../../dag/hashes.ts'
import { parseRef } from '../../dag/ref.ts'
import { resolvePath } from '../../unixfs/path.ts'
import { type Survey, surveyTree } from '../../unixfs/survey.ts'
import type { InfoOptions, InfoProvider, InfoResult } from '../api/look.ts'
import { Fetching, type FetchingParts } from './fetching.ts'
import type { Sources } from './sources.ts'

/** Blocks that each peer is asked about. */
const SAMPLE_BLOCKS = 32
/** How long providers are looked for, and how long they have for their answer. */
const FIND_MS = 10 * SECOND_MS
/** The same where only the peers that were named can know of others: one DHT will stay without anybody to ask. */
const FIND_ISOLATED_MS = SECOND_MS
const ANSWER_MS = 5 * SECOND_MS
const LOOK_MS = 50
const LOOKUPS_AT_ONCE = 16

/** @throws P2PError as `Api.run` says of it */
export async function info(parts: FetchingParts, options: InfoOptions): Promise<InfoResult> {
  const ref = parseRef(options.ref)
  let nodesRead = 0
  let isSurveyed = false
  const fetching = new Fetching(parts, ref, options, { done: () => nodesRead, isBusy: () => isSurveyed })
  try {
    const { blocks, nodes, signal } = fetching
    const root = await resolvePath(ref.cid, ref.path, nodes, { signal })
    const survey = await surveyTree(root, async (cid) => {
      const block = await (cid.code === RAW ? blocks : nodes).fetch(cid, { signal })
      nodesRead++
      return block
    })
    isSurveyed = true
    return {
      ...describe(root, survey),
      here: await countHere(survey, parts.store),
      providers: await findProviders(fetching, survey),
    }
  } finally {
    await fetching.close()
  }
}

function describe(root: CID, survey: Survey): Omit<InfoResult, 'here' | 'providers'> {
  const { bytes, files, folders, blockBytes, depth, chunkBytes, rawLeaves, links, sharded } = survey
  return {
    cid: root.toString(),
    version: root.version,
    codec: codecName(root.code),
    hash: hashName(root.multihash.code),
    kind: survey.root.type,
    bytes,
    blocks: survey.blocks.size,
    blockBytes,
    files,
    folders,
    depth,
    complete: survey.isComplete,
    layout: {
      chunkBytes: chunkBytes ?? null,
      rawLeaves: rawLeaves ?? null,
      links: links ?? null,
      sharded,
      profile: profileOf(root, survey),
    },
  }
}

/** @see https://github.com/ipfs/specs/pull/499 */
const PROFILES = [
  { name: 'unixfs-v1-2025', version: 1, rawLeaves: true, chunkBytes: MiB, links: 1024 },
  { name: 'unixfs-v0-2015', version: 0, rawLeaves: false, chunkBytes: MiB / 4, links: 174 },
] as const

function profileOf(root: CID, survey: Survey): InfoResult['layout']['profile'] {
  const { rawLeaves, chunkBytes = 0, links = 0 } = survey
  if (root.multihash.code !== SHA2_256 || survey.root.type === 'opaque' || survey.root.type === 'dag-pb') return null
  const fits = PROFILES.find(
    (profile) =>
      root.version === profile.version &&
      (rawLeaves ?? profile.rawLeaves) === profile.rawLeaves &&
      links <= profile.links &&
      // Only a file of several leaves shows where it was cut.
      (links > 1 ? chunkBytes === profile.chunkBytes : chunkBytes <= profile.chunkBytes),
  )
  return fits?.name ?? null
}

async function countHere({ blocks }: Survey, store: BlockStore): Promise<InfoResult['here']> {
  const here = { blocks: 0, blockBytes: 0 }
  await mapBounded([...blocks.values()], LOOKUPS_AT_ONCE, async ({ cid }) => {
    const bytes = await store.size(cid)
    if (bytes === undefined) return
    here.blocks++
    here.blockBytes += bytes
  })
  return here
}

async function findProviders(fetching: Fetching, survey: Survey): Promise<InfoProvider[] | null> {
  const session = await fetching.open()
  const { sources, signal } = fetching
  if (session === undefined || sources === undefined) return null
  await untilLooked(sources, signal)
  const sample = sampleOf(survey)
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)])
  const providers = await Promise.all(
    session.stats().peers.map(async ({ peerId, multiaddr, path, connected, rttMs }): Promise<InfoProvider> => {
      const held = connected ? await session.countHeldBy(peerId, sample, { signal: deadline }) : undefined
      return {
        peerId,
        multiaddr,
        path,
        connected,
        rttMs: rttMs ?? null,
        sample: held === undefined ? null : { have: held, of: sample.length },
      }
    }),
  )
  signal.throwIfAborted()
  return providers.toSorted((a, b) => (b.sample?.have ?? -1) - (a.sample?.have ?? -1))
}

async function untilLooked(sources: Sources, signal: AbortSignal): Promise<void> {
  const limitMs = sources.isIsolated ? FIND_ISOLATED_MS : FIND_MS
  for (let waitedMs = 0; waitedMs < limitMs && !sources.hasLooked; waitedMs += LOOK_MS) {
    await sleep(LOOK_MS, { signal })
  }
}

/** Those with the lowest digests: spread over the tree, and the same for whoever asks. */
function sampleOf({ blocks }: Survey): CID[] {
  return [...blocks.values()]
    .map(({ cid }) => cid)
    .sort((a, b) => Buffer.compare(a.multihash.digest, b.multihash.digest))
    .slice(0, SAMPLE_BLOCKS)
}
