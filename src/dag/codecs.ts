/** What the codec in a CID is called, for people. @see https://github.com/multiformats/multicodec/blob/master/table.csv */

const NAMES = new Map([
  [0x51, 'cbor'],
  [0x55, 'raw'],
  [0x70, 'dag-pb'],
  [0x71, 'dag-cbor'],
  [0x72, 'libp2p-key'],
  [0x78, 'git-raw'],
  [0x85, 'dag-jose'],
  [0x0129, 'dag-json'],
  [0x0200, 'json'],
])

/** The name of a codec in the table of multicodecs; its number in hex for all but the usual ones. */
export function codecName(code: number): string {
  return NAMES.get(code) ?? `codec 0x${code.toString(16)}`
}
