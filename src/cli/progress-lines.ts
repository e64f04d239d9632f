/** Progress events -> lines of text, for terminals and logs alike. Pure: who draws them, and when, is elsewhere. */

import type { AddProgress, CarProgress, GetPhase, GetProgress, HeldBackBy, PeerProgress } from '../common/progress.ts'
import { counted, formatBytes, formatDuration, SECOND_MS, shortPeerId } from '../common/units.ts'

export type TransferProgress = AddProgress | CarProgress | GetProgress

export interface ScreenSize {
  columns: number
  rows: number
}

/** Shows how far something is. Nothing is shown any more after `stop`. */
export interface ProgressDisplay {
  update(event: TransferProgress): void
  /** Makes room for a line that is written in between. */
  interrupt(write: () => void): void
  stop(): void
}

const PHASE_TEXTS: Record<GetPhase, string> = {
  connecting: 'Connecting',
  'finding-providers': 'Finding providers',
  metadata: 'Reading the structure',
  downloading: 'Downloading',
  finishing: 'Making it safe on disk',
}

const HELD_BACK_TEXTS: Record<HeldBackBy, string> = {
  peer: 'waiting for peers',
  disk: 'waiting for the disk',
  hash: 'waiting for hashes',
  limit: 'held to the limit',
}
/** What is done sooner is not slow. */
const SLOW_ETA_SECONDS = 10

const BAR_CELLS = 24
const MIN_BAR_CELLS = 6

/** What is going on, in two or three words. */
export function phaseText(event: TransferProgress): string {
  if (event.type === 'car-progress') return event.action === 'export' ? 'Exporting' : 'Importing'
  return event.type === 'progress' ? PHASE_TEXTS[event.phase] : 'Adding'
}

/** The part that is done, 0 to 1; undefined while the total is not known. */
export function fractionDone({ bytes, totalBytes }: TransferProgress): number | undefined {
  if (totalBytes === null) return undefined
  return totalBytes === 0 ? 1 : Math.min(1, bytes / totalBytes)
}

/** One line that says it all, without a bar. */
export function progressSentence(event: TransferProgress): string {
  return [phaseText(event), ...facts(event), ...losses(event)].join('  ')
}

/**
 * What a terminal of this size shows: the total with its bar, what is lost and to what if anything is, then a line per
 * peer, the fastest first. No line is as wide as the terminal, and there are fewer than it has rows.
 */
export function progressLines(event: TransferProgress, { columns, rows }: ScreenSize): string[] {
  const fraction = fractionDone(event)
  const words = [phaseText(event), ...facts(event)].join('  ')
  // The bar gives way to the words: brackets and the gap before it take four columns.
  const cells = Math.min(BAR_CELLS, columns - 1 - words.length - 4)
  const bar = fraction !== undefined && cells >= MIN_BAR_CELLS ? [drawBar(fraction, cells)] : []
  const lines = [[phaseText(event), ...bar, ...facts(event)].join('  ')]
  const lost = losses(event)
  if (lost.length > 0) lines.push(`  ${lost.join('  ')}`)
  if (event.type === 'progress') lines.push(...peerLines(event.peers, Math.max(1, rows - 2 - lines.length)))
  return lines.map((line) => fit(line, columns - 1))
}

function facts(event: TransferProgress): string[] {
  if (event.type === 'car-progress') return [formatBytes(event.bytes), counted(event.blocks, 'block')]
  const fraction = fractionDone(event)
  const amount =
    event.totalBytes === null
      ? formatBytes(event.bytes)
      : `${formatBytes(event.bytes)} of ${formatBytes(event.totalBytes)}`
  const parts = fraction === undefined ? [] : [`${(Math.floor(fraction * 1000) / 10).toFixed(1)} %`]
  if (event.bytes > 0 || event.totalBytes !== null) parts.push(amount)
  if (event.type === 'add-progress' && (event.totalFiles ?? event.files) > 1) parts.push(filesText(event))
  if (event.bytesPerSecond > 0) parts.push(`${formatBytes(event.bytesPerSecond)}/s`)
  if (event.etaSeconds !== null && event.etaSeconds > 0)
    parts.push(`ETA ${formatDuration(event.etaSeconds * SECOND_MS)}`)
  if (event.type === 'add-progress') return parts
  const connected = event.peers.filter((peer) => peer.connected).length
  parts.push(`peers ${connected}`)
  return parts
}

function filesText({ files, totalFiles }: AddProgress): string {
  return totalFiles === null ? `${files} files` : `${files} of ${totalFiles} files`
}

/** Why it is slow, if it is, and what came for nothing. */
function losses(event: TransferProgress): string[] {
  if (event.type !== 'progress') return []
  const { heldBackBy, etaSeconds, duplicateBytes } = event
  const parts: string[] = []
  if (heldBackBy !== null && (etaSeconds ?? 0) >= SLOW_ETA_SECONDS) parts.push(HELD_BACK_TEXTS[heldBackBy])
  if (duplicateBytes > 0) parts.push(`${formatBytes(duplicateBytes)} duplicate`)
  return parts
}

function drawBar(fraction: number, cells: number): string {
  const filled = Math.floor(fraction * cells)
  const tip = filled < cells ? '>' : ''
  return `[${'='.repeat(filled)}${tip}${' '.repeat(cells - filled - tip.length)}]`
}

function peerLines(peers: PeerProgress[], most: number): string[] {
  const sorted = peers.toSorted(
    (a, b) => Number(b.connected) - Number(a.connected) || b.bytesPerSecond - a.bytesPerSecond || b.bytes - a.bytes,
  )
  const shown = sorted.length > most ? sorted.slice(0, most - 1) : sorted
  const lines = shown.map(peerLine)
  if (shown.length < sorted.length) lines.push(`  and ${sorted.length - shown.length} more`)
  return lines
}

function peerLine(peer: PeerProgress): string {
  const absent = peer.blocks > 0 ? 'gone' : 'connecting'
  const rate = peer.connected ? `${formatBytes(peer.bytesPerSecond)}/s` : absent
  const parts = [
    `  ${shortPeerId(peer.peerId)}`,
    peer.path.padEnd(8),
    rate.padStart(12),
    formatBytes(peer.bytes).padStart(10),
    `${peer.blocks} blocks`.padStart(12),
  ]
  if (peer.connected) {
    parts.push(`${formatBytes(peer.inFlightBytes)} in flight`.padStart(19))
    if (peer.rttMs !== null) parts.push(`RTT ${peer.rttMs.toFixed(1)} ms`)
  }
  return parts.join(' ')
}

function fit(line: string, width: number): string {
  return line.length <= width ? line : line.slice(0, Math.max(0, width))
}
