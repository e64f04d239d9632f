/**
 * Looks at and reads small files of a tree, many in one go. Made for each import, by `node/operations/add.ts`; a few files
 * are read without it, since it takes a while to start.
 */

import { Batcher } from '../common/batcher.ts'
import { Thread } from '../common/thread.ts'
import { KiB } from '../common/units.ts'
import { changedError, failedTo, type Looked, type LookOptions } from './tree.ts'
import type { WholeFile } from './tree-notes.ts'
import type { ReadOutcome, TreeAnswer, TreeRequest } from './tree-worker.ts'

/** Larger files are not worth the memory of all that are read at once. */
export const MAX_SMALL_BYTES = 64 * KiB
/** Entries after which the thread has saved what starting it costs. */
const WORTH_STARTING = 200

export interface SmallFile extends WholeFile {
  content: Uint8Array
}

export class TreeReader {
  readonly #thread = new Thread<TreeRequest, TreeAnswer>(new URL('./tree-worker.js', import.meta.url))
  readonly #followLinks: boolean
  readonly #reads = new Batcher((paths: string[]) => this.#readAll(paths))
  #entries = 0

  constructor({ followLinks = false }: { followLinks?: boolean | undefined } = {}) {
    this.#followLinks = followLinks
  }

  /** Whether it is worth asking for so many entries more. */
  takes(entries: number): boolean {
    this.#entries += entries
    return this.#entries >= WORTH_STARTING
  }

  /** What stands in a folder under these names, in their order. */
  async look(folder: string, names: string[], options: LookOptions): Promise<Looked[]> {
    const answer = await this.#thread.ask({ kind: 'look', folder, names, options })
    return answer.kind === 'look' ? answer.looked : []
  }

  /**
   * All of a regular file; undefined if it is larger than {@link MAX_SMALL_BYTES}, or not worth asking for.
   *
   * @throws P2PError `io`, also if something writes to it meanwhile
   */
  async read(path: string): Promise<SmallFile | undefined> {
    if (!this.#thread.isRunning) return undefined
    const { outcome, content } = await this.#reads.add(path)
    if (outcome === 'large') return undefined
    if (outcome === 'changed') throw changedError(path)
    if ('message' in outcome) throw failedTo('read', path, outcome)
    const { offset, size, mtimeNs } = outcome
    return { content: content.subarray(offset, offset + size), size, mtimeNs }
  }

  /** Nothing may be under way. */
  async close(): Promise<void> {
    await this.#thread.close()
  }

  async #readAll(paths: string[]): Promise<{ outcome: ReadOutcome; content: Uint8Array }[]> {
    const request = { kind: 'read', paths, maxBytes: MAX_SMALL_BYTES, followLinks: this.#followLinks } as const
    const answer = await this.#thread.ask(request)
    if (answer.kind !== 'read') return []
    return answer.outcomes.map((outcome) => ({ outcome, content: answer.content }))
  }
}
