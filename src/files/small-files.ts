/**
 * Writes files that are small and whole, many in one go: the work per file is a few system calls in a thread beside
 * this one. Used by `output.ts`.
 */

import { Batcher } from '../common/batcher.ts'
import { localIoError } from '../common/errors.ts'
import { Thread } from '../common/thread.ts'
import { KiB, MiB } from '../common/units.ts'
import type { Metadata } from './metadata.ts'
import type { WriteOutcome, WriteRequest } from './small-files-worker.ts'

/** Larger files are not worth the copy into another thread. */
export const MAX_SMALL_FILE_BYTES = 256 * KiB

/** What is copied at once, while it is held elsewhere too. */
const MAX_REQUEST_BYTES = 4 * MiB

export interface SmallFile {
  path: string
  content: Uint8Array
  metadata?: Metadata | undefined
}

export class SmallFiles {
  readonly #writes = new Batcher((files: SmallFile[]) => this.#writeAll(files))
  readonly #thread = new Thread<WriteRequest, WriteOutcome[]>(new URL('./small-files-worker.js', import.meta.url))

  /**
   * Makes the file, or replaces what is in it; a link in its place is not followed. Not synced.
   *
   * @returns its modification time in nanoseconds
   * @throws P2PError `io`, `disk-full`
   */
  async write(file: SmallFile): Promise<bigint> {
    const outcome = await this.#writes.add(file)
    if ('mtimeNs' in outcome) return outcome.mtimeNs
    throw localIoError(Object.assign(new Error(outcome.message), { code: outcome.errno }), 'write', file.path)
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#writes.idle()
    await this.#thread.close()
  }

  async #writeAll(files: SmallFile[]): Promise<WriteOutcome[]> {
    const outcomes: WriteOutcome[] = []
    for (let start = 0; start < files.length; ) {
      let end = start
      for (let bytes = 0; end < files.length && bytes < MAX_REQUEST_BYTES; end++)
        bytes += files[end]!.content.byteLength
      outcomes.push(...(await this.#ask(files.slice(start, end))))
      start = end
    }
    return outcomes
  }

  async #ask(files: SmallFile[]): Promise<WriteOutcome[]> {
    const request: WriteRequest = { files: [], bytes: new Uint8Array(files.reduce(sumOfLengths, 0)) }
    let start = 0
    for (const { path, content, metadata } of files) {
      request.files.push({ path, length: content.byteLength, metadata })
      request.bytes.set(content, start)
      start += content.byteLength
    }
    return await this.#thread.ask(request, [request.bytes.buffer as ArrayBuffer])
  }
}

function sumOfLengths(sum: number, { content }: SmallFile): number {
  return sum + content.byteLength
}
