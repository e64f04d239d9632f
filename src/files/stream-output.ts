/**
 * The result of `cat` and `get -o -`: one file or a part of it, in order, to a writer. Leaves that arrive early wait in a
 * bounded window; the exporter asks for none that starts beyond it.
 */

import { P2PError } from '../common/errors.ts'
import { MiB } from '../common/units.ts'
import { SkippedEntries } from './skipped-entries.ts'

/** How far ahead of what has been written leaves are fetched. */
const WINDOW_BYTES = 32 * MiB

interface Place {
  offset: number
}

/** Bytes of a file: from `start` on, up to `end`, which is not one of them any more. */
interface Range {
  start: number
  end: number
}

export class StreamOutput {
  readonly #write: (bytes: Uint8Array) => Promise<void>
  readonly #waiting = new Map<number, { content: Uint8Array; written: () => void; failed: (reason: unknown) => void }>()
  readonly range: Range
  #position: number
  #writing = false
  #ended: { reason: unknown } | undefined
  #stopWriting: (reason: unknown) => void = () => {}
  readonly skipped = new SkippedEntries()

  /**
   * @param write - resolves when more may be written
   * @param part - which bytes of the file to write; default: all
   */
  constructor(
    write: (bytes: Uint8Array) => Promise<void>,
    {
      offset = 0,
      length = Number.POSITIVE_INFINITY,
    }: { offset?: number | undefined; length?: number | undefined } = {},
  ) {
    this.#write = write
    this.range = { start: offset, end: offset + length }
    this.#position = offset
  }

  windowEnd(): number {
    return this.#position + WINDOW_BYTES
  }

  async expectBytes(): Promise<void> {}

  async makeFolder(): Promise<void> {
    throw new P2PError('usage', 'A folder cannot be written to stdout', {
      hint: 'Name a file inside it, as in <cid>/<name> ("p2p ls" lists them), or fetch all of it with "p2p get".',
    })
  }

  async makeLink(_path: readonly string[], target: string): Promise<void> {
    throw new P2PError('usage', `A link to "${target}" cannot be written to stdout`, {
      hint: 'Name the file that it leads to.',
    })
  }

  refuse(path: readonly string[], reason: string): void {
    this.skipped.add(path.join('/'), reason)
  }

  async openFile(): Promise<void> {}

  async placedBytes(): Promise<undefined> {}

  async closeFile(): Promise<void> {}

  async writeFile(_file: unknown, content: Uint8Array): Promise<void> {
    if (content.byteLength > 0) await this.write({ offset: 0 }, content)
  }

  /** Nothing more will be written: whatever waits for what comes before it rejects. */
  cancel(reason: unknown): void {
    this.#ended ??= { reason }
    this.#stopWriting(this.#ended.reason)
    for (const { failed } of this.#waiting.values()) failed(this.#ended.reason)
    this.#waiting.clear()
  }

  /** Returns once the content has been written, after all that comes before it. */
  async write({ offset: leafOffset }: Place, leaf: Uint8Array): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended.reason
    const { start, end } = this.range
    const offset = Math.max(leafOffset, start)
    const content = leaf.subarray(offset - leafOffset, Math.max(0, end - leafOffset))
    if (content.byteLength === 0) return
    await new Promise<void>((written, failed) => {
      this.#waiting.set(offset, { content, written, failed })
      void this.#drain()
    })
  }

  /** Content that waits for what comes before it, while nothing is being written. */
  stuck(): number {
    return this.#writing ? 0 : this.#waiting.size
  }

  /** True while the reader has not taken what was written last. */
  get isBlocked(): boolean {
    return this.#writing
  }

  /** A reader that takes nothing must not keep a cancelled download waiting. */
  async #writeOrStop(content: Uint8Array): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#stopWriting = reject
      this.#write(content).then(resolve, reject)
    })
  }

  async #drain(): Promise<void> {
    if (this.#writing) return
    this.#writing = true
    for (;;) {
      const next = this.#waiting.get(this.#position)
      if (next === undefined) break
      this.#waiting.delete(this.#position)
      try {
        await this.#writeOrStop(next.content)
        this.#position += next.content.byteLength
        next.written()
      } catch (error) {
        next.failed(error)
        this.cancel(error)
      }
    }
    this.#writing = false
  }
}
