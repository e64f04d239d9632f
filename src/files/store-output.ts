/**
 * The result of `pin add`: all of a tree in the store and nothing else. The readers of the walk store what they fetch, so
 * that there is nothing to do but to say what does not have to be.
 */

import type { CID } from 'multiformats/cid'
import { RAW } from '../dag/cid.ts'
import { SkippedEntries } from './skipped-entries.ts'

export class StoreOutput {
  readonly #sizeOf: (cid: CID) => Promise<number | undefined>
  /** Nothing is left out: no name reaches a disk. */
  readonly skipped = new SkippedEntries()

  /** @param sizeOf - the bytes of a block that is here and durable */
  constructor(sizeOf: (cid: CID) => Promise<number | undefined>) {
    this.#sizeOf = sizeOf
  }

  windowEnd(): number {
    return Number.POSITIVE_INFINITY
  }

  /** Only of raw leaves is the content as long as the block. */
  async placedBytes(cid: CID): Promise<number | undefined> {
    return cid.code === RAW ? await this.#sizeOf(cid) : undefined
  }

  refuse(): void {
    // Whatever the walk leaves out is fetched when the pin is completed.
  }

  async expectBytes(): Promise<void> {}
  async makeFolder(): Promise<void> {}
  async makeLink(): Promise<void> {}
  async openFile(): Promise<void> {}
  async write(): Promise<void> {}
  async closeFile(): Promise<void> {}
  async writeFile(): Promise<void> {}
}
