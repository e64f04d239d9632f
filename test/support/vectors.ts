/** What Kubo makes of known input; where each comes from is told in `fixtures/README.md`. */

import { readFileSync } from 'node:fs'
import { MiB } from '../../src/common/units.ts'
import type { ImportSwitches } from '../../src/unixfs/import-settings.ts'
import { randomBytes, randomChunks } from './bytes.ts'

interface Recipe {
  switches: ImportSwitches
  cid: string
}

type FileVector = Recipe & {
  /** Too large for every run of the tests. */
  large?: boolean
} & ({ text: string } | { seed: string; bytes: number } | { repeat: string; bytes: number })

interface Vectors {
  files: FileVector[]
  hashes: Record<string, string>
  trees: (Recipe & { files: Record<string, string>; links: Record<string, string> })[]
  folders: (Recipe & {
    seed: string
    names: number
    nameLength: number
    lastNameLength: number
    kind: 'directory' | 'shard'
  })[]
  numberedFolders: (Recipe & { sharded: boolean })[]
  links: { target: string; cid: string }[]
  metadata: { kind: 'file' | 'symlink' | 'directory'; mode?: string; mtime?: string; cid: string }[]
  metadataTree: {
    files: string[]
    emptyFolder: string
    link: [path: string, target: string]
    /** Seconds after `since`, by path. */
    times: Record<string, number>
    since: number
    cids: { options: { preserveMode?: boolean; preserveMtime?: boolean; mode?: string; mtime?: string }; cid: string }[]
  }
}

/** The tests run in the root of the project. */
export const vectors = JSON.parse(readFileSync('fixtures/cids.json', 'utf8')) as Vectors

export function describeFile(file: FileVector): string {
  const content =
    'text' in file
      ? JSON.stringify(file.text)
      : `${file.bytes} bytes of ${'seed' in file ? file.seed : JSON.stringify(file.repeat)}`
  return `${content} with ${JSON.stringify(file.switches)}`
}

/** The content, in pieces of at most 1 MiB. */
export function* contentOf(file: FileVector): Generator<Uint8Array> {
  if ('text' in file) yield Buffer.from(file.text)
  else if ('seed' in file) yield* randomChunks(file.seed, file.bytes)
  else yield* repeated(file.repeat, file.bytes)
}

function* repeated(text: string, byteCount: number): Generator<Uint8Array> {
  const piece = Buffer.alloc(Math.floor(MiB / text.length) * text.length, text)
  for (let left = byteCount; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length))
}

/** What a text becomes as a file, without switches. */
export function cidOfText(text: string): string {
  const file = vectors.files.find((one) => 'text' in one && one.text === text && Object.keys(one.switches).length === 0)
  return file!.cid
}

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
