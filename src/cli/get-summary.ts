/** How a download went, for people: what was saved, how fast, and who gave how much. Pure. */

import { basename } from 'node:path'
import { counted, formatBytes, formatDuration, SECOND_MS, shortPeerId } from '../common/units.ts'
import type { GetResult } from '../node/api.ts'

/** Beyond these there is a number only. */
const MAX_PEERS_SHOWN = 10

/** One line each; the first one says it all. */
export function getSummary({ path, stats }: GetResult): string[] {
  const givers = stats.peers.filter((peer) => peer.bytes > 0).toSorted((a, b) => b.bytes - a.bytes)
  const duplicatePercent = stats.receivedBytes === 0 ? 0 : (100 * stats.duplicateBytes) / stats.receivedBytes
  const fetchedBytes = givers.reduce((sum, peer) => sum + peer.bytes, 0)
  const facts = [
    `${formatBytes(stats.bytes)} in ${formatDuration(stats.seconds * SECOND_MS)}`,
    ...(stats.seconds > 0 && fetchedBytes > 0 ? [`${formatBytes(fetchedBytes / stats.seconds)}/s`] : []),
    givers.length === 0 ? 'all of it was here' : `from ${counted(givers.length, 'peer')}`,
    `${duplicatePercent.toFixed(1)} % duplicate`,
    'verified',
  ]
  const where = path === null ? 'Done' : `Saved ${basename(path)}`
  const lines = [`${where}: ${facts.join(', ')}.`]
  if (path !== null) lines.push(`  ${path}`)
  for (const peer of givers.slice(0, MAX_PEERS_SHOWN)) {
    const share = `${Math.round((100 * peer.bytes) / fetchedBytes)} %`
    lines.push(
      `  ${formatBytes(peer.bytes)} (${share}) from ${shortPeerId(peer.peerId)}  ${peer.path}  ${peer.multiaddr}`,
    )
  }
  if (givers.length > MAX_PEERS_SHOWN) lines.push(`  and ${givers.length - MAX_PEERS_SHOWN} more`)
  return lines
}
