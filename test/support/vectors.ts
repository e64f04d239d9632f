/** What Kubo makes of known input; where each comes from is told in `fixtures/README.md`. */

import { readFileSync } from 'node:fs'
import { randomBytes } from './bytes.ts'

interface Vectors {
  files: ({ cid: string } & ({ text: string } | { seed: string; bytes: number }))[]
  hashes: Record<string, string>
  folders: {
    seed: string
    names: number
    nameLength: number
    lastNameLength: number
    kind: 'directory' | 'shard'
    cid: string
  }[]
  shardedFolder: string
  trees: { files: Record<string, string>; links: Record<string, string>; cid: string }[]
}

/** The tests run in the root of the project. */
export const vectors = JSON.parse(readFileSync('fixtures/cids.json', 'utf8')) as Vectors

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz01234567890-_'

/** The names in a folder of `vectors.folders`. */
export function folderNames(folder: Vectors['folders'][number]): string[] {
  const { names, nameLength, lastNameLength, seed } = folder
  const stream = randomBytes(seed, (names - 1) * nameLength + lastNameLength)
  return Array.from({ length: names }, (_, index) => {
    const start = index * nameLength
    const length = index === names - 1 ? lastNameLength : nameLength
    return [...stream.subarray(start, start + length)].map((byte) => ALPHABET[byte % ALPHABET.length]).join('')
  })
}
