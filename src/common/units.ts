/** Byte and time units, and the text people read and write for them. */

export const KiB = 1024
export const MiB = 1024 * KiB
export const GiB = 1024 * MiB
const TiB = 1024 * GiB

export const SECOND_MS = 1000
export const MINUTE_MS = 60 * SECOND_MS
export const HOUR_MS = 60 * MINUTE_MS

const SIZE_STEPS = [
  ['TiB', TiB],
  ['GiB', GiB],
  ['MiB', MiB],
  ['KiB', KiB],
] as const

/** Bytes as people read them: `512 B`, `1.5 KiB`, `10.0 GiB`. */
export function formatBytes(bytes: number): string {
  for (const [name, size] of SIZE_STEPS) {
    if (bytes >= size) return `${(bytes / size).toFixed(1)} ${name}`
  }
  return `${Math.round(bytes)} B`
}

/** `10MiB`, `1.5 GiB`, `512KiB` -> bytes; undefined for anything else, a number without its unit too. */
export function parseBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([KMGT]iB)$/.exec(text)
  const step = SIZE_STEPS.find(([name]) => name === match?.[2])
  return step === undefined ? undefined : Math.round(Number(match?.[1]) * step[1])
}

/** Milliseconds as people read them: `0.4 s`, `12 s`, `3m05s`, `2h10m`. */
export function formatDuration(ms: number): string {
  if (ms < 10 * SECOND_MS) return `${(ms / SECOND_MS).toFixed(1)} s`
  if (ms < MINUTE_MS) return `${Math.round(ms / SECOND_MS)} s`
  const pad = (value: number) => String(value).padStart(2, '0')
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)}m${pad(Math.floor((ms % MINUTE_MS) / SECOND_MS))}s`
  return `${Math.floor(ms / HOUR_MS)}h${pad(Math.floor((ms % HOUR_MS) / MINUTE_MS))}m`
}

/** A multiaddr-free short form of a peer id, as shown in progress lines: the last eight characters. */
export function shortPeerId(peerId: string): string {
  return `…${peerId.slice(-8)}`
}

/** `1 block`, `2 blocks`. @param noun - one that takes an s */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
