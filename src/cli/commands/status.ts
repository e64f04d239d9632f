/** `p2p status`: what is kept, to whom it was announced, and what the server does. */

import { counted, formatBytes, formatDuration } from '../../common/units.ts'
import type { RootStatus, ServerStatus } from '../../node/api/network.ts'
import { type Context, runOperation } from '../context.ts'
import type { HoldFlags } from '../flags.ts'
import type { Outcome } from '../outcome.ts'

/** @throws P2PError `repo-held`, `io`, `bad-config` */
export async function status(context: Context, { timeout }: HoldFlags): Promise<Outcome> {
  const { output } = context
  const needs = { command: 'p2p status', holdTimeoutMs: timeout }
  const result = await runOperation(context, needs, 'status', {
    onEvent: (root) => {
      output.resultLine(rootLine(root))
      output.event('root', { ...root })
    },
  })
  const { server, roots, bytes } = result
  output.resultLine(`${counted(roots, 'root')}, ${formatBytes(bytes)}`)
  if (server === null) output.resultLine('No server runs on this repo.')
  else for (const line of serverLines(server)) output.resultLine(line)
  return { result: { ...result }, summary: [] }
}

function rootLine({ cid, name, bytes, announced }: RootStatus): string {
  const told = announced === null ? 'not announced' : `announced to ${audience(announced)}`
  return [cid, formatBytes(bytes), told, ...(name === null ? [] : [name])].join('  ')
}

function audience({ peers, at }: NonNullable<RootStatus['announced']>): string {
  if (peers === 0) return 'nobody yet'
  return `${counted(peers, 'peer')} at ${at}`
}

function serverLines(server: ServerStatus): string[] {
  const { command, pid, version, since, multiaddrs, peerId, connections, announcesAgain } = server
  const upFor = formatDuration(Math.max(0, Date.now() - Date.parse(since)))
  return [
    `\`${command}\` ${version} (pid ${pid}) has run for ${upFor}, since ${since}`,
    `Peer id ${peerId}`,
    ...multiaddrs.map((multiaddr) => `Listening on ${multiaddr}`),
    ...(announcesAgain === null ? [] : [`Everything is announced again by ${announcesAgain}`]),
    `${counted(connections, 'peer')} connected`,
    `Sent ${formatBytes(server.sentBytes)} (${formatBytes(server.sentBytesPerSecond)}/s), received ` +
      `${formatBytes(server.receivedBytes)} (${formatBytes(server.receivedBytesPerSecond)}/s)`,
  ]
}
