/**
 * Names of codecs as people write them, for those that Kubo takes; those of hash functions are in `hashes.ts`.
 * @see https://github.com/multiformats/multicodec/blob/master/table.csv
 */

const CODECS = new Map([
  ['cbor', 0x51],
  ['raw', 0x55],
  ['dag-pb', 0x70],
  ['dag-cbor', 0x71],
  ['libp2p-key', 0x72],
  ['git-raw', 0x78],
  ['torrent-info', 0x7b],
  ['dag-jose', 0x85],
  ['dag-json', 0x0129],
  ['json', 0x0200],
])

/** `dag-pb`, or `0x…` for a codec without a name here. */
export function codecName(code: number): string {
  for (const [name, number] of CODECS) if (number === code) return name
  return `0x${code.toString(16)}`
}

/** The number of a codec; undefined if it is not known by this name. */
export function codecOf(name: string): number | undefined {
  return CODECS.get(name)
}

export function codecNames(): string[] {
  return [...CODECS.keys()]
}
