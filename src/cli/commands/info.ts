/** `p2p info`: what a reference leads to, how much of it is here, and who has it. */

import { counted, formatBytes, formatDuration } from '../../common/units.ts'
import type { InfoProvider, InfoResult } from '../../node/api/look.ts'
import { type Context, runOperation } from '../context.ts'
import { fetchingOptions } from '../fetching.ts'
import type { FetchingFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

/** @throws P2PError as `info` of `Api.run` does */
export async function info(context: Context, ref: string, flags: FetchingFlags): Promise<Outcome> {
  const { output } = context
  const needs = { command: 'p2p info', holdTimeoutMs: flags.timeout }
  const result = await runOperation(context, needs, 'info', { ref, ...(await fetchingOptions(context, flags)) })
  for (const line of linesOf(result)) output.resultLine(line)
  return { result: { ...result }, summary: [] }
}

function linesOf(result: InfoResult): string[] {
  const { cid, version, codec, hash, kind, complete, providers, here } = result
  const least = complete ? '' : 'at least '
  const facts: [string, string][] = [
    ['cid', cid],
    ['kind', `${kind} (CIDv${version}, ${codec}, ${hash})`],
    ['size', `${least}${formatBytes(result.bytes)} (${result.bytes} bytes)`],
    ['tree', `${least}${counted(result.files, 'file')}, ${counted(result.folders, 'folder')}, ${result.depth} deep`],
    ['blocks', `${least}${counted(result.blocks, 'block')}, ${formatBytes(result.blockBytes)}`],
    ['layout', layoutOf(result)],
    ['here', `${counted(here.blocks, 'block')}, ${formatBytes(here.blockBytes)}`],
    ['providers', providers === null ? 'not asked' : String(providers.length)],
  ]
  return [...facts.map(([name, text]) => `${name.padEnd(10)} ${text}`), ...(providers ?? []).map(providerLine)]
}

function layoutOf({ layout: { chunkBytes, rawLeaves, links, sharded, profile } }: InfoResult): string {
  const facts = [
    ...(chunkBytes === null ? [] : [`leaves of up to ${formatBytes(chunkBytes)}`]),
    ...(rawLeaves === null ? [] : [rawLeaves ? 'raw' : 'not raw']),
    ...(links === null ? [] : [`up to ${links} links`]),
    ...(sharded ? ['sharded folders'] : []),
    ...(profile === null ? [] : [`fits the profile ${profile}`]),
  ]
  return facts.length === 0 ? '-' : facts.join(', ')
}

function providerLine({ peerId, multiaddr, path, connected, rttMs, sample }: InfoProvider): string {
  const has = sample === null ? '' : `has ${sample.have} of ${sample.of} sampled blocks`
  const rtt = rttMs === null ? [] : [formatDuration(rttMs)]
  const facts = connected ? [path, ...rtt, has] : ['cannot be reached']
  return `  ${peerId}  ${facts.filter((fact) => fact !== '').join(', ')}  ${multiaddr}`
}
