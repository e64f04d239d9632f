/** Test data that is the same in every run, and digests to compare what arrived with it. */

import { createCipheriv, createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, open, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { MiB } from '../../src/common/units.ts'

/**
 * The first `byteCount` bytes of the ChaCha20 keystream whose key is the SHA-256 of the seed, in pieces of at most 1 MiB.
 * The same stream that the vectors of IPIP-499 are made of.
 */
export function* randomChunks(seed: string, byteCount: number): Generator<Buffer> {
  const cipher = createCipheriv('chacha20', createHash('sha256').update(seed).digest(), Buffer.alloc(16))
  const zeros = Buffer.alloc(Math.min(MiB, byteCount))
  for (let left = byteCount; left > 0; left -= zeros.byteLength) {
    yield cipher.update(left < zeros.byteLength ? zeros.subarray(0, left) : zeros)
  }
}

/** {@link randomChunks} in one piece. */
export function randomBytes(seed: string, byteCount: number): Buffer {
  return Buffer.concat([...randomChunks(seed, byteCount)], byteCount)
}

/** Writes the chunks to a file, one at a time. @returns the SHA-256 of what was written, in hex */
export async function writeChunks(path: string, chunks: Iterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  const file = await open(path, 'w')
  try {
    for (const chunk of chunks) {
      hash.update(chunk)
      for (let done = 0; done < chunk.byteLength; ) done += (await file.write(chunk, done)).bytesWritten
    }
  } finally {
    await file.close()
  }
  return hash.digest('hex')
}

/** Writes a file of pseudo-random bytes. @returns its SHA-256 in hex */
export async function writeRandomFile(path: string, seed: string, byteCount: number): Promise<string> {
  return await writeChunks(path, randomChunks(seed, byteCount))
}

/** The SHA-256 of a file, in hex, read as a stream. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: MiB })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A folder as text: one line an entry, sorted, with type and content digest, so that two of them can be compared. */
export async function describeTree(folder: string): Promise<string[]> {
  const lines: string[] = []
  const visit = async (path: string, name: string): Promise<void> => {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      const entryPath = join(path, entry.name)
      const entryName = `${name}${entry.name}`
      if (entry.isDirectory()) {
        lines.push(`${entryName}/`)
        await visit(entryPath, `${entryName}/`)
      } else if (entry.isSymbolicLink()) {
        lines.push(`${entryName} -> ${await readlink(entryPath)}`)
      } else if (!entry.isFile()) {
        lines.push(`${entryName} special`)
      } else {
        lines.push(`${entryName} ${sha256(await readFile(entryPath))}`)
      }
    }
  }
  await visit(folder, '')
  return lines.sort()
}

/** Permissions and time of modification, in microseconds, of a folder and all that is in it, one line an entry. */
export async function describeMetadata(folder: string): Promise<string[]> {
  const names = ['.', ...(await readdir(folder, { recursive: true })).sort()]
  return await Promise.all(
    names.map(async (name) => {
      const stats = await lstat(join(folder, name), { bigint: true })
      // A link has no permissions of its own.
      const mode = stats.isSymbolicLink() ? '' : (Number(stats.mode) & 0o7777).toString(8)
      return `${name} ${mode} ${toMicroseconds(stats.mtimeNs)}`
    }),
  )
}

/** Rounded: what Node writes and reads of a time may differ by some hundred nanoseconds. */
function toMicroseconds(nanoseconds: bigint): bigint {
  const shifted = nanoseconds + 500n
  return shifted / 1000n - (shifted % 1000n < 0n ? 1n : 0n)
}
